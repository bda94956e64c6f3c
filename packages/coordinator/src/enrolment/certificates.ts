import { X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { utc } from './clock.ts';

/** The certificates that AWS signs identity documents with, by region. */
export interface Certificates {
  /**
   * `builtIn` counts for a region that the configuration says nothing of. Errors: `unavailable`, naming what to configure,
   * when there is none for the region, or none whose dates fit.
   */
  keysOf(region: string, at: number, builtIn: ReadonlyMap<string, string>): KeyObject[];
}

interface Pinned {
  key: KeyObject;
  validFrom: number;
  validTo: number;
}

const WHERE =
  'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.html, under "RSA-2048" of the region';

/** Reads the configured files, PEM, one certificate or several each. Errors: `invalid_request`, naming the file. */
export function openCertificates(files: Readonly<Record<string, string>>): Certificates {
  const configured = new Map(
    Object.entries(files).map(([region, path]) => [region, certificatesOfFile(region, path)]),
  );
  /** Those that came with Berth, once they were asked for. */
  const parsed = new Map<string, readonly Pinned[]>();

  function pinnedFor(region: string, builtIn: ReadonlyMap<string, string>): readonly Pinned[] | undefined {
    const known = configured.get(region) ?? parsed.get(region);
    const text = builtIn.get(region);
    if (known !== undefined || text === undefined) return known;
    const read = certificatesIn(text);
    parsed.set(region, read);
    return read;
  }

  return {
    keysOf(region, at, builtIn) {
      const setting = `enrolment.certificates.${region}`;
      const pinned = pinnedFor(region, builtIn);
      if (pinned === undefined) {
        throw none(
          region,
          `The coordinator knows no certificate of AWS for the region ${region}. Put the one from ${WHERE}, into a file that the coordinator's configuration names: ${setting}.`,
        );
      }
      const good = pinned.filter(({ validFrom, validTo }) => validFrom <= at && at < validTo);
      if (good.length > 0) return good.map(({ key }) => key);
      const file = files[region];
      const which = file === undefined ? `that came with Berth for the region ${region}` : `in ${file}`;
      const last = Math.max(...pinned.map(({ validTo }) => validTo));
      throw none(
        region,
        last <= at
          ? `The certificate of AWS ${which} ran out at ${utc(last)}. Take the new one from ${WHERE}, and name it in ${setting}.`
          : `The certificate of AWS ${which} is not valid before ${utc(Math.min(...pinned.map(({ validFrom }) => validFrom)))}; is the coordinator's clock right?`,
      );
    },
  };
}

function none(region: string, message: string): BerthError {
  return new BerthError('unavailable', message, { details: { reason: 'certificate', region } });
}

function certificatesOfFile(region: string, path: string): readonly Pinned[] {
  try {
    return certificatesIn(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new BerthError(
      'invalid_request',
      `The certificate for the region ${region}, ${path}, cannot be used: ${messageOf(cause)}.`,
      { cause },
    );
  }
}

function certificatesIn(pem: string): readonly Pinned[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error('it holds no "BEGIN CERTIFICATE"');
  return blocks.map((block) => {
    const certificate = new X509Certificate(block);
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
    if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
      throw new Error('its key is not RSA of 2048 bits; take the certificate under "RSA-2048"');
    return {
      key: certificate.publicKey,
      validFrom: Date.parse(certificate.validFrom),
      validTo: Date.parse(certificate.validTo),
    };
  });
}
