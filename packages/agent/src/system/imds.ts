import { request } from 'node:http';
import { z } from 'zod';
import { BerthError, messageOf } from '@berth/shared/domain/errors';

/** The metadata service of an EC2 instance, asked by version 2 of its protocol and no other. */
export interface Imds {
  /** Who AWS says this machine is. Errors: `unavailable` when it does not answer. */
  document(signal?: AbortSignal): Promise<SignedDocument>;
  /** The credentials of the instance's role. Errors: `unavailable`, also when it has no role. */
  credentials(signal?: AbortSignal): Promise<InstanceCredentials>;
}

export interface SignedDocument {
  instance: string;
  region: string;
  /** The identity document as it is, byte for byte. */
  text: string;
  /** Its PKCS #7 signature by an RSA key of 2048 bits, base64. */
  rsa2048: string;
}

export interface InstanceCredentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken: string;
}

export const IMDS_ENDPOINT = 'http://169.254.169.254';
const TIMEOUT_MS = 2_000;
/** A token is for one question and the next few; it never leaves this process. */
const TOKEN_SECONDS = 60;
const MAX_BYTES = 64 * 1024;
const IDENTITY = '/latest/dynamic/instance-identity';
const ROLE = '/latest/meta-data/iam/security-credentials/';

const Document = z.object({
  instanceId: z.string().regex(/^i-[0-9a-f]{8,17}$/),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/),
});
const Credentials = z.object({
  Code: z.literal('Success'),
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
});

export function createImds(endpoint: string, timeoutMs = TIMEOUT_MS): Imds {
  const failed = (why: string, cause?: unknown): BerthError =>
    new BerthError(
      'unavailable',
      `The instance metadata service (IMDSv2) at ${endpoint} ${why}. Without it this host cannot show who it is, and waits.`,
      { cause },
    );

  /** A session: its token serves for what `work` asks. */
  async function session<T>(
    signal: AbortSignal | undefined,
    work: (get: (path: string) => Promise<string | null>) => Promise<T>,
  ): Promise<T> {
    const ask = (method: 'GET' | 'PUT', path: string, headers: Record<string, string>) =>
      send(new URL(path, endpoint), method, headers, timeoutMs, signal).catch((cause: unknown) => {
        throw failed(`does not answer (${messageOf(cause)})`, cause);
      });
    const token = await ask('PUT', '/latest/api/token', {
      'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_SECONDS),
    });
    // Version 1 is never tried: it takes questions from anyone who can make this host send a GET.
    if (token.status !== 200 || !/^[\x21-\x7e]{1,500}$/.test(token.body))
      throw failed(`gives no token (${token.status}); is it switched off, or is the hop limit 0`);
    return await work(async (path) => {
      const answer = await ask('GET', path, { 'x-aws-ec2-metadata-token': token.body });
      if (answer.status === 404) return null;
      if (answer.status !== 200) throw failed(`answers ${answer.status} to ${path}`);
      return answer.body;
    });
  }

  return {
    document: (signal) =>
      session(signal, async (get) => {
        const text = await get(`${IDENTITY}/document`);
        const rsa2048 = await get(`${IDENTITY}/rsa2048`);
        const parsed = Document.safeParse(jsonIn(text));
        if (text === null || rsa2048 === null || !parsed.success)
          throw failed('has no identity document with an rsa2048 signature');
        const { instanceId, region } = parsed.data;
        return { instance: instanceId, region, text, rsa2048: rsa2048.replace(/\s/g, '') };
      }),
    credentials: (signal) =>
      session(signal, async (get) => {
        const role = (await get(ROLE))?.trim() ?? '';
        if (!/^[\w+=,.@-]{1,64}$/.test(role))
          throw failed('knows no role of this instance; give it the instance profile that its pool asks for');
        const parsed = Credentials.safeParse(jsonIn(await get(`${ROLE}${role}`)));
        if (!parsed.success) throw failed(`gives no credentials of the role ${role}`);
        const { AccessKeyId, SecretAccessKey, Token } = parsed.data;
        return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
      }),
  };
}

function send(
  url: URL,
  method: 'GET' | 'PUT',
  headers: Record<string, string>,
  timeoutMs: number,
  outer: AbortSignal | undefined,
): Promise<{ status: number; body: string }> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = outer === undefined ? deadline : AbortSignal.any([outer, deadline]);
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false, signal }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > MAX_BYTES) response.destroy(new Error('its answer is too long'));
        else parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') });
      });
    });
    sent.on('error', (thrown) => {
      reject(deadline.aborted ? new Error(`nothing within ${timeoutMs} ms`) : thrown);
    });
    sent.end();
  });
}

function jsonIn(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
