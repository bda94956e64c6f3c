import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { z } from 'zod';
import {
  CHALLENGE_HEADER,
  STS_BODY,
  STS_CONTENT_TYPE,
  type SignedRequest,
} from '@berth/shared/protocol/enrolment';
import type { InstanceCredentials } from '../system/imds.ts';

/** A part of its own, loaded when a host enrols, which is once in its life. */

type Data = string | ArrayBuffer | ArrayBufferView;

/** SHA-256 as the signer wants it. */
class Sha256 {
  private readonly hash: Hash | Hmac;
  constructor(secret?: Data) {
    this.hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }
  update(data: Uint8Array): void {
    this.hash.update(bytesOf(data));
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.hash.digest()));
  }
}

function bytesOf(data: Data): Buffer {
  if (typeof data === 'string') return Buffer.from(data, 'utf8');
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}

const Headers = z.record(z.string(), z.string());

/** GetCallerIdentity, signed with the instance's role and never sent from here; `header` is bound into the signature. */
export async function signIdentityRequest(options: {
  endpoint: URL;
  region: string;
  credentials: InstanceCredentials;
  header: string;
  at: number;
}): Promise<SignedRequest> {
  const { endpoint, region, credentials } = options;
  const signer = new SignatureV4({ service: 'sts', region, credentials, sha256: Sha256 });
  const signed = await signer.sign(
    {
      method: 'POST',
      protocol: endpoint.protocol,
      hostname: endpoint.hostname,
      path: '/',
      headers: {
        host: endpoint.host,
        'content-type': STS_CONTENT_TYPE,
        [CHALLENGE_HEADER]: options.header,
      },
      body: STS_BODY,
    },
    { signingDate: new Date(options.at) },
  );
  return {
    url: `${endpoint.origin}/`,
    method: 'POST',
    headers: Headers.parse(signed.headers),
    body: STS_BODY,
  };
}
