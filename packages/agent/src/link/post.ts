import { request as plain } from 'node:http';
import { request as secure } from 'node:https';

const MAX_ANSWER_BYTES = 64 * 1024;
const TIMEOUT_MS = 30_000;

/**
 * One JSON POST on a connection of its own; the answer parsed, or null when it is no JSON. Not `fetch`: the first call of
 * that costs an agent 12 MB of memory for good. Rejects when no whole answer came.
 */
export function postJson(
  address: URL,
  body: string,
  signal?: AbortSignal,
): Promise<{ status: number; answer: unknown }> {
  const send = address.protocol === 'https:' ? secure : plain;
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  const options = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    agent: false,
    signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
  };
  return new Promise((resolve, reject) => {
    const req = send(address, options, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'));
        else parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, answer: parsed(Buffer.concat(parts)) });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

function parsed(bytes: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return value;
  } catch {
    return null;
  }
}
