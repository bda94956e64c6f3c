import { createServer } from 'node:net';

/** Whether a TCP port can be listened on at this address now. */
export function portIsFree(port: number, address = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The wanted port, or the next free one of the fifty after it; undefined when all are taken. */
export async function freePort(
  wanted: number,
  taken: ReadonlySet<number>,
  address = '127.0.0.1',
): Promise<number | undefined> {
  for (let port = wanted; port < Math.min(wanted + 50, 65_536); port += 1) {
    if (!taken.has(port) && (await portIsFree(port, address))) return port;
  }
  return undefined;
}
