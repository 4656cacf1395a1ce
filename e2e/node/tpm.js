// The SDK's own TPM client, on a software TPM behind a Unix socket in place of /dev/tpm0.
'use strict';

const fs = require('fs');
const net = require('net');
const tss = require('tss.js');
const { TpmAuthenticationProvider, TpmSecurityClient } = require('azure-iot-security-tpm');

// Where the size of a response is written. Source: TCG TPM 2.0 Library, Part 1, "Response Header".
const SIZE_AT = 2;
const HEADER_BYTES = 10;

// What tss.js asks of a device: commands one after the other, each with one response.
class SocketDevice {
  constructor(path) {
    this.path = path;
  }

  connect(done) {
    this.socket = net.connect(this.path, () => done(null));
    this.socket.unref();
    return null;
  }

  dispatchCommand(command, done) {
    let response = Buffer.alloc(0);
    const more = (bytes) => {
      response = Buffer.concat([response, bytes]);
      if (response.length >= HEADER_BYTES && response.length >= response.readUInt32BE(SIZE_AT)) {
        this.socket.removeListener('data', more);
        // An idle TPM keeps no program alive.
        this.socket.unref();
        setImmediate(done, null, response);
      }
    };
    this.socket.ref();
    this.socket.on('data', more);
    this.socket.write(command);
  }

  close() {
    this.socket.end();
  }
}

// The security client of one TPM.
exports.security = (registrationId, path) => {
  const tpm = new tss.Tpm(false);
  tpm.device = new SocketDevice(path);
  return new TpmSecurityClient(registrationId, tpm);
};

// Has the SDK's transport show these certificates too, files of DER, beside the TPM's keys.
exports.showCertificates = (transport, files) => {
  const certificates = files.map((file) => fs.readFileSync(file).toString('base64'));
  const set = transport.setTpmInformation.bind(transport);
  transport.setTpmInformation = (endorsementKey, storageRootKey) => {
    set(endorsementKey, storageRootKey);
    transport._tpmPublicKeys.endorsementCertificates = certificates;
  };
  return transport;
};

// What a hub device signs in with.
exports.authentication = (host, deviceId, path) => TpmAuthenticationProvider.fromTpmSecurityClient(
  deviceId, host, exports.security(deviceId, path));
