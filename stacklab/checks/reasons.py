"""The stable words for why a check came out as it did; docs/check-report.md lists them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason why a check came out as it did: programs compare these words, never sentences."""

    # it is as it should be
    OK = "ok"
    CUT = "cut"  # a fault was to cut it, and did
    MAY_FAIL = "may-fail"  # it does not pass, and with this fault it need not

    # no answer (status `error`)
    NOT_REACHED = "not-reached"  # nobody could log in on the node
    NODE_OFF = "node-off"  # the node does not run; of a login this is a failure
    SESSION_ENDED = "session-ended"  # the session with the node broke off before this check
    NO_ANSWER = "no-answer"  # whoever was asked said nothing of it
    PROGRAM_MISSING = "program-missing"  # the node lacks a program; its name is in `about`
    PROGRAM_FAILED = "program-failed"  # a program ended with an error
    NOT_TRIED = "not-tried"  # what it stands on does not work
    UNREADABLE = "unreadable"  # the answer makes no sense
    TOO_BUSY = "too-busy"  # the node did not find the time to try
    NOT_SENT = "not-sent"  # no packet left the node

    # the answers of a connection
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    NAME_UNKNOWN = "name-unknown"
    DENIED = "denied"  # the login was turned down
    HOST_KEY = "host-key"  # the host key is not the one on record
    CLOSED = "closed"  # the other end closed the connection
    NO_CONNECTION = "no-connection"  # none, for another reason

    # nodes
    NOT_RUNNING = "not-running"
    RESTARTING = "restarting"  # a service that ends again and again
    BOOTED_AGAIN = "booted-again"
    WRONG_NAME = "wrong-name"
    WRONG_USER = "wrong-user"
    NO_SUDO = "no-sudo"
    TOO_FEW = "too-few"  # less than declared: processors, memory, disk, swap
    TOO_MANY = "too-many"  # more than declared
    DISK_MISSING = "disk-missing"  # no disk has the declared serial
    READ_ONLY = "read-only"
    NOT_GROWN = "not-grown"  # the root file system does not fill its disk
    FULL = "full"
    NEARLY_FULL = "nearly-full"
    NO_SWAP = "no-swap"
    NIC_MISSING = "nic-missing"
    NIC_DOWN = "nic-down"
    NO_CARRIER = "no-carrier"
    WRONG_MAC = "wrong-mac"
    WRONG_MTU = "wrong-mtu"
    WRONG_ADDRESS = "wrong-address"
    NO_ROUTE = "no-route"  # the NIC without one is in `about`
    WRONG_ROUTE = "wrong-route"
    CLOCK_OFF = "clock-off"
    SEVERAL = "several"  # more than one thing is wrong; the detail lists them

    # pairs and impairments
    NO_REPLY = "no-reply"
    SOME_LOST = "some-lost"
    TOO_LONG = "too-long"  # packets of the declared MTU do not pass
    MTU_LARGER = "mtu-larger"  # packets larger than the declared MTU leave the node
    WRONG_WAY = "wrong-way"  # packets would leave by another NIC
    NO_NAME = "no-name"  # the address does not lead to a name there
    NOT_SSHD = "not-sshd"  # the port is open, and no sshd answers
    OTHER_NODE = "other-node"  # somebody else was reached
    WRONG_DELAY = "wrong-delay"
    WRONG_LOSS = "wrong-loss"
    WRONG_RATE = "wrong-rate"
    NOT_TESTED = "not-tested"  # the node is too slow to put it to the test

    # isolation and outside
    REACHED = "reached"  # what must not be reached answers
    UNPROVED = "unproved"  # silence proves nothing: no one answers the host either
    NOT_REFUSED = "not-refused"  # neither an answer nor the host's refusal: packets may get out
    ADDRESS_TAKEN = "address-taken"  # somebody outside the lab has a node's address
    HOST_FAILS_TOO = "host-fails-too"  # the host gets no answer there either
    NO_MIRROR = "no-mirror"  # the node's sources name no mirror of packages

    # custom
    WRONG_CODE = "wrong-code"  # the command ended with another exit code
    NO_TEXT = "no-text"  # the expected text is missing
    WRONG_PAGE = "wrong-page"  # the page is not as expected

    # cloud
    STEP_FAILED = "step-failed"  # a step of the proof; the detail has the cloud's own words

    # expectations
    STILL_WORKS = "still-works"  # a fault was to cut it, and did not
