import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';

/** What the way to the store does to one request. */
export type Way =
  | { kind: 'through' }
  /** The store's own words for a bad day. */
  | { kind: 'answer'; status: number; code: string }
  /** Cut after so many bytes of the request. */
  | { kind: 'cut'; afterBytes: number }
  /** The connection stays, nothing comes. */
  | { kind: 'silent' }
  /** One byte of what is sent is another. */
  | { kind: 'damage' }
  /** Handed on piece by piece. */
  | { kind: 'slow'; pauseMs: number }
  /** After the store has answered, and before the answer is handed on. */
  | { kind: 'meanwhile'; act: () => Promise<void> };

export interface Asked {
  method: string;
  path: string;
  /** `PUT part`, `POST complete`, `POST begin`, `DELETE upload`, `HEAD`, `GET`, `PUT`. */
  what: string;
  /** Which one of its kind it is, from 1. */
  nth: number;
  headers: IncomingMessage['headers'];
}

export interface S3Proxy {
  url: string;
  /** Decides about each request; null lets everything through. */
  way: ((asked: Asked) => Way) | null;
  asked: Asked[];
  /** As of a server that keeps no checksums. */
  hideChecksums: boolean;
  close(): Promise<void>;
}

/** Between an agent and a real store. Requests keep the address they were signed for. */
export async function startS3Proxy(store: string): Promise<S3Proxy> {
  const counts = new Map<string, number>();
  const proxy: S3Proxy = {
    url: '',
    way: null,
    asked: [],
    hideChecksums: false,
    close: () => Promise.resolve(),
  };
  const server = createServer((incoming, outgoing) => {
    const what = whatOf(incoming);
    const nth = (counts.get(what) ?? 0) + 1;
    counts.set(what, nth);
    const asked = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      what,
      nth,
      headers: incoming.headers,
    };
    proxy.asked.push(asked);
    pass(incoming, outgoing, proxy.way?.(asked) ?? { kind: 'through' }, store, proxy.hideChecksums);
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy.url = `http://127.0.0.1:${address.port}`;
  proxy.close = async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return proxy;
}

function whatOf({ method = '', url = '' }: IncomingMessage): string {
  const query = new URL(url, 'http://store').searchParams;
  if (query.has('partNumber')) return 'PUT part';
  if (query.has('uploads')) return method === 'POST' ? 'POST begin' : 'GET uploads';
  if (query.has('uploadId'))
    return method === 'POST' ? 'POST complete' : method === 'DELETE' ? 'DELETE upload' : 'GET parts';
  return method;
}

function pass(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  way: Way,
  store: string,
  hide: boolean,
): void {
  if (way.kind === 'silent') {
    incoming.resume();
    return;
  }
  if (way.kind === 'answer') {
    incoming.resume().on('end', () => {
      outgoing.writeHead(way.status, { 'content-type': 'application/xml' });
      outgoing.end(
        incoming.method === 'HEAD'
          ? ''
          : `<Error><Code>${way.code}</Code><Message>on purpose</Message></Error>`,
      );
    });
    return;
  }
  const forward = request(
    store,
    { method: incoming.method, path: incoming.url, headers: incoming.headers, setHost: false },
    (answer) => {
      const hand = (): void => {
        const headers = Object.entries(answer.headers).filter(
          ([name]) => !hide || !name.startsWith('x-amz-checksum'),
        );
        outgoing.writeHead(answer.statusCode ?? 502, Object.fromEntries(headers));
        answer.pipe(outgoing);
      };
      if (way.kind === 'meanwhile') void way.act().then(hand);
      else hand();
    },
  );
  forward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => forward.destroy());
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (way.kind === 'cut' && bytes > way.afterBytes) {
      incoming.destroy();
      forward.destroy();
      return;
    }
    if (way.kind === 'damage' && bytes === chunk.length) chunk[0] = (chunk[0] ?? 0) ^ 1;
    forward.write(chunk);
    if (way.kind !== 'slow') return;
    incoming.pause();
    setTimeout(() => incoming.resume(), way.pauseMs);
  });
  incoming.on('end', () => forward.end());
  incoming.on('error', () => forward.destroy());
}
