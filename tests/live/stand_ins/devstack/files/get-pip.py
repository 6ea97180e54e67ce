# Stands for the last one for Python 2: pip (version 20.3.4)
