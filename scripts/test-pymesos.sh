#!/bin/sh
# Lets frameworks written for Mesos run on a cluster: `test-pymesos.sh path/to/dcos`. They use pymesos from the Python
# package index, as it is published, one of them with an executor of its own; without the index there is nothing to test,
# and that is a failure.
set -eu

dcos=$1
ip=${DCOS_BIND:-127.78.0.2}
here=$(cd "$(dirname "$0")" && pwd)
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT

python3 -m venv "$data/venv"
pip="$data/venv/bin/python -m pip --quiet --disable-pip-version-check"
# What pymesos needs for HTTP was published with C code that Python 3.11 no longer compiles; Cython makes it anew.
if ! {
    $pip install "cython>=3" setuptools wheel &&
        $pip download --no-deps --no-build-isolation --no-binary :all: --dest "$data" http-parser==0.9.0
}; then
    echo "The Python package index cannot be reached, so pymesos cannot be tested." >&2
    exit 1
fi
tar --extract --gzip --file "$data"/http-parser-0.9.0.tar.gz --directory "$data"
"$data/venv/bin/cython" -3 "$data/http-parser-0.9.0/http_parser/parser.pyx"
$pip install --no-build-isolation "$data/http-parser-0.9.0"
$pip install pymesos==0.3.15

for framework in thousand lives; do
    "$data/venv/bin/python" "$here/../tests/frameworks/$framework.py" "$dcos" "$ip" "$data/$framework"
done
