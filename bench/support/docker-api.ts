import { Agent, request } from 'node:http';

/** The Docker API without anything around it: what a floor is measured with. */
export interface DockerApi {
  readonly socket: string;
  /** Resolves with the parsed answer. Rejects on a status of 400 or more that is not tolerated. */
  call(method: string, path: string, body?: unknown, tolerated?: readonly number[]): Promise<unknown>;
  send(path: string, archive: Buffer): Promise<void>;
  /** Pushes an image, by its whole name with the tag, to a registry that asks for no password. */
  push(image: string): Promise<void>;
  close(): void;
}

export function connectDocker(): DockerApi {
  const host = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
  if (!host.startsWith('unix://')) throw new Error(`DOCKER_HOST is ${host}; only unix:// is supported here.`);
  const socket = host.slice('unix://'.length);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });

  function exchange(method: string, path: string, payload: Buffer | undefined, type: string, more = {}) {
    return new Promise<{ status: number; text: string }>((resolve, reject) => {
      const headers =
        payload === undefined
          ? { host: 'docker', ...more, ...(method === 'POST' ? { 'content-length': 0 } : {}) }
          : { host: 'docker', 'content-type': type, 'content-length': payload.length };
      const req = request({ socketPath: socket, agent, method, path, headers }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
        );
        response.on('error', reject);
      });
      req.on('error', reject);
      req.end(payload);
    });
  }

  return {
    socket,
    async call(method, path, body, tolerated = []) {
      const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      const { status, text } = await exchange(method, path, payload, 'application/json');
      if (status >= 400 && !tolerated.includes(status))
        throw new Error(`Docker: ${method} ${path}: ${status} ${text.trim()}`);
      return text.startsWith('{') || text.startsWith('[') ? (JSON.parse(text) as unknown) : null;
    },
    async send(path, archive) {
      const { status, text } = await exchange('POST', path, archive, 'application/x-tar');
      if (status >= 400 || text.includes('"errorDetail"')) throw new Error(`Docker: ${path}: ${text.trim()}`);
    },
    async push(image) {
      const [, name = '', tag = ''] = /^(.+):([^:/]+)$/.exec(image) ?? [];
      const path = `/images/${name}/push?tag=${encodeURIComponent(tag)}`;
      // Docker wants to be shown something.
      const shown = { 'x-registry-auth': Buffer.from('{}').toString('base64') };
      const { status, text } = await exchange('POST', path, undefined, '', shown);
      if (status >= 400 || text.includes('"errorDetail"')) throw new Error(`Docker: ${path}: ${text.trim()}`);
    },
    close: () => agent.destroy(),
  };
}
