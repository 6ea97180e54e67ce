set -x
TOP_DIR=$(cd $(dirname "$0") && pwd)
source $TOP_DIR/openrc
DEST=${DEST:-/opt/stack}
MYSQL_USER=${MYSQL_USER:-root}
screen -S stack -p n-cpu -X kill
