import { X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { utc } from './clock.ts';

/** The certificates that AWS signs identity documents with, by region, as an operator has pinned them. */
export interface Certificates {
  /** Errors: `unavailable`, naming what to configure, when there is none for the region that is still good. */
  keysOf(region: string, at: number): KeyObject[];
}

const WHERE =
  'https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.html, under "RSA-2048" of the region';

/** Reads the pinned files, PEM, one certificate or several each. Errors: `invalid_request`, naming the file. */
export function openCertificates(files: Readonly<Record<string, string>>): Certificates {
  const regions = new Map(
    Object.entries(files).map(([region, path]) => [region, certificatesIn(region, path)]),
  );
  return {
    keysOf(region, at) {
      const pinned = regions.get(region);
      if (pinned === undefined) {
        throw new BerthError(
          'unavailable',
          `The coordinator knows no certificate of AWS for the region ${region}. Put the one from ${WHERE}, into a file that the coordinator's configuration names: enrolment.certificates.${region}.`,
          { details: { reason: 'certificate', region } },
        );
      }
      const good = pinned.filter(({ validTo }) => validTo.getTime() > at);
      if (good.length === 0) {
        throw new BerthError(
          'unavailable',
          `The certificate of AWS in ${files[region]} ran out at ${utc(Math.max(...pinned.map(({ validTo }) => validTo.getTime())))}. Take the new one from ${WHERE}.`,
          { details: { reason: 'certificate', region } },
        );
      }
      return good.map(({ key }) => key);
    },
  };
}

function certificatesIn(region: string, path: string): { key: KeyObject; validTo: Date }[] {
  try {
    const blocks = readFileSync(path, 'utf8').match(
      /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
    );
    if (blocks === null) throw new Error('it holds no "BEGIN CERTIFICATE"');
    return blocks.map((block) => {
      const certificate = new X509Certificate(block);
      const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
      if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
        throw new Error('its key is not RSA of 2048 bits; take the certificate under "RSA-2048"');
      return { key: certificate.publicKey, validTo: new Date(certificate.validTo) };
    });
  } catch (cause) {
    throw new BerthError(
      'invalid_request',
      `The certificate for the region ${region}, ${path}, cannot be used: ${messageOf(cause)}.`,
      { cause },
    );
  }
}
