import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { pkcs7, selfSigned } from './der.ts';

/** What AWS would know of an instance; tests make as many as they need. */
export interface AwsMachine {
  instance: string;
  account: string;
  region: string;
  role: string;
  image: string;
  /** When it was started, milliseconds since 1970. */
  startedAt: number;
  tags: Record<string, string>;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export function awsMachine(change: Partial<AwsMachine> = {}): AwsMachine {
  return {
    instance: `i-0${randomBytes(8).toString('hex')}`,
    account: '123456789012',
    region: 'eu-central-1',
    role: 'berth-host',
    image: 'ami-0123456789abcdef0',
    startedAt: Date.now() - 60_000,
    tags: { env: 'prod' },
    accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(60).toString('base64'),
    ...change,
  };
}

/** The identity document of a machine, as IMDS has it. */
export function documentOf(machine: AwsMachine): string {
  return JSON.stringify(
    {
      accountId: machine.account,
      architecture: 'x86_64',
      availabilityZone: `${machine.region}a`,
      billingProducts: null,
      imageId: machine.image,
      instanceId: machine.instance,
      instanceType: 't3.medium',
      pendingTime: new Date(machine.startedAt).toISOString().replace(/\.\d+Z$/, 'Z'),
      privateIp: '10.0.0.7',
      region: machine.region,
      version: '2017-09-30',
    },
    null,
    2,
  );
}

/** The key that a region signs documents with. */
export interface RegionKey {
  /** PEM, as AWS publishes it. */
  certificate: string;
  key: KeyObject;
  /** The signature of a document, base64 in lines as IMDS gives it. */
  sign(document: string): string;
}

export function regionKey(until = Date.now() + 86_400_000 * 365, bits = 2048): RegionKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    certificate: selfSigned(privateKey, Date.now() - 86_400_000, until),
    key: privateKey,
    sign: (document) =>
      pkcs7(document, privateKey, { lengths: 'indefinite' }).toString('base64').replace(/.{64}/g, '$&\n'),
  };
}
