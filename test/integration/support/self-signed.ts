import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate for a name that vouches for itself, and its key, as PEM; `file` holds the certificate until `remove`. */
export function selfSigned(name: string): { cert: string; key: string; file: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'berth-cert-'));
  const [file, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ].concat([
      '-subj',
      `/CN=${name}`,
      '-addext',
      `subjectAltName=DNS:${name}`,
      '-out',
      file,
      '-keyout',
      keyFile,
    ]),
    { stdio: 'ignore' },
  );
  return {
    cert: readFileSync(file, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    file,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
