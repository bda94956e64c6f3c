import { request } from 'node:http';

/**
 * One request to the Docker Engine API over its unix socket.
 * @param {string} socketPath
 * @param {{method?: string, path: string, json?: unknown, body?: import('node:stream').Readable, contentType?: string, timeoutMs?: number}} options
 * @returns {Promise<{status: number, text: string}>} rejects when the daemon cannot be reached
 */
export function dockerRequest(
  socketPath,
  { method = 'GET', path, json, body, contentType, timeoutMs = 120_000 },
) {
  return new Promise((resolve, reject) => {
    const headers = {};
    if (json !== undefined) headers['content-type'] = 'application/json';
    if (contentType) headers['content-type'] = contentType;
    const outgoing = request(
      { socketPath, method, path, headers, timeout: timeoutMs, agent: false },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)),
    );
    outgoing.on('error', reject);
    if (body) {
      body.on('error', (error) => outgoing.destroy(error));
      body.pipe(outgoing);
    } else outgoing.end(json === undefined ? undefined : JSON.stringify(json));
  });
}

/** The JSON of a request, or an error with the daemon's own words. */
export async function dockerJson(socketPath, options) {
  const { status, text } = await dockerRequest(socketPath, options);
  if (status >= 300)
    throw new Error(`Docker said ${status} to ${options.method ?? 'GET'} ${options.path}: ${text.trim()}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** Whether a Docker daemon answers on this socket. */
export async function answers(socketPath) {
  try {
    const { status, text } = await dockerRequest(socketPath, { path: '/_ping', timeoutMs: 3000 });
    return status === 200 && text.trim() === 'OK';
  } catch {
    return false;
  }
}
