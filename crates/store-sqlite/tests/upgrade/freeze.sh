#!/bin/sh
# Makes a database with a row of every kind, through the program itself, and dumps it as SQL:
#   freeze.sh path/to/muster > NNNN.sql
# NNNN is the number of the newest migration that the program knows. Run it before the next one is
# written; a dump is never changed afterwards. Needs sqlite3 and openssl.
set -eu
muster=$(realpath "$1")
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
export MUSTER_DATA_DIR="$work/data" OUT=/dev/null

m() { "$muster" "$@" >"$OUT" || { echo "failed: $*" >&2; exit 1; }; }
# A certificate for a hundred years: what is dumped must be good for as long.
ca() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=$1" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
leaf() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=$1" \
        -addext basicConstraints=critical,CA:FALSE -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
signed() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=$1" \
        -addext basicConstraints=critical,CA:FALSE -CA "$2.pem" -CAkey "$2.key" \
        -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
ca root; ca next; ca own; leaf sensor-own; leaf sensor-next; signed sensor-1 root; signed sensor-2 root

"$muster" serve --https-port 0 --mqtt-port 0 --monitoring off --log error >"$OUT" &
server=$!
"$muster" wait-ready --timeout 30 >"$OUT"

m iot dps create --dps-name second --allocation-policy geolatency
m iot hub create --hub-name hub3 --host-name hub3.example.com
m iot dps linked-hub create --dps-name second --hub-name hub3 --allocation-weight 7
for name in root next; do
    m iot dps certificate create --dps-name dps --certificate-name "$name" --path "$name.pem" --verified true
done
m iot dps certificate create --dps-name second --certificate-name unproven --path root.pem

e='iot dps enrollment create --dps-name dps --enrollment-id'
g='iot dps enrollment-group create --dps-name dps --enrollment-id'
m $e keyed --attestation-type symmetricKey --device-id another-name --reprovision-policy never \
    --initial-twin-tags '{"floor":3}' --initial-twin-properties '{"interval":{"seconds":60}}'
m $e sensor-own --attestation-type x509 --certificate-path sensor-own.pem \
    --secondary-certificate-path sensor-next.pem --allocation-policy static --iot-hubs hub1.localhost
m $e module --attestation-type tpm \
    --endorsement-key AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1UjuioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcvfBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHFao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElTzgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==
m $e blocked --attestation-type symmetricKey --provisioning-status disabled
m $e hooked --attestation-type symmetricKey --edge-enabled true
m $g keys
m $g sensors --ca-name root --secondary-ca-name next --allocation-policy hashed
m $g signed --certificate-path own.pem --allocation-policy static --iot-hubs hub2.localhost
m $g retired
m iot dps enrollment create --dps-name second --enrollment-id keyed --attestation-type symmetricKey

r='iot device registration create --dps-name dps --registration-id'
m $r keyed
m $r in-group --group-id keys
m $r orphan --group-id retired
m $r sensor-own --certificate-file-path sensor-own.pem --key-file-path sensor-own.key
m $r sensor-1 --certificate-file-path sensor-1.pem --key-file-path sensor-1.key
m $r sensor-2 --certificate-file-path sensor-2.pem --key-file-path sensor-2.key
"$muster" $r blocked >"$OUT" 2>&1 && { echo 'a disabled device was let in' >&2; exit 1; }
m iot dps enrollment-group delete --dps-name dps --enrollment-id retired

d='iot hub device-identity create --hub-name hub3 --device-id'
m $d plain
m $d off --status disabled --status-reason 'lost in the field'
m $d edge --edge-enabled true
m $d printed --auth-method x509_thumbprint \
    --primary-thumbprint 1111111111111111111111111111111111111111 \
    --secondary-thumbprint 2222222222222222222222222222222222222222
# Nobody listens there: what happens next waits, and is tried again.
m event subscription create --name ops --endpoint https://127.0.0.1:1/events
m iot hub device-identity delete --hub-name hub1 --device-id sensor-own

# A job: nobody is at that port, and the server ends while it still tries.
m iot dps linked-hub create --dps-name second --connection-string \
    "HostName=localhost.invalid:9;SharedAccessKeyName=p;SharedAccessKey=AAECAwQFBgcICQoLDA0ODw=="
m iot dps enrollment create --dps-name second --enrollment-id far --attestation-type symmetricKey \
    --allocation-policy static --iot-hubs localhost.invalid
"$muster" iot device registration create --dps-name second --registration-id far >"$OUT" 2>&1 &
device=$!
until "$muster" iot dps linked-hub jobs --dps-name second | grep -q far; do sleep 0.1; done
kill "$device"

kill "$server"
wait "$server"
server=
sqlite3 data/control.db .dump
