import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AwsMachine, RegionKey } from './aws-machines.ts';
import { documentOf } from './aws-machines.ts';

export interface ImdsDouble {
  url: string;
  /** The machine that it speaks for; may be changed, as when a disk is put into another one. */
  machine: AwsMachine;
  /** `off`: switched off for this instance. `silent`: takes questions and never answers. `cut`: drops connections. */
  state: 'up' | 'off' | 'silent' | 'cut';
  /** Instead of the machine's own document and its signature. */
  altered: { document: string; rsa2048: string } | null;
  /** How far the clock of IMDS is ahead, in milliseconds: tokens run out by it. */
  aheadMs: number;
  /** Questions that were answered, by path; and those that were asked as version 1 has it. */
  asked: string[];
  v1: number;
  close(): Promise<void>;
}

const ROLE = '/latest/meta-data/iam/security-credentials/';

/** The metadata service of one instance over HTTP: version 2 only, tokens that run out, no forwarded questions. */
export async function startImds(machine: AwsMachine, region: RegionKey): Promise<ImdsDouble> {
  const tokens = new Map<string, number>();
  const double: ImdsDouble = {
    url: '',
    machine,
    state: 'up',
    altered: null,
    aheadMs: 0,
    asked: [],
    v1: 0,
    close: () => Promise.resolve(),
  };
  const now = (): number => Date.now() + double.aheadMs;

  function answerTo(path: string): string | null {
    const { machine: one } = double;
    const document = double.altered?.document ?? documentOf(one);
    switch (path) {
      case '/latest/dynamic/instance-identity/document':
        return document;
      case '/latest/dynamic/instance-identity/rsa2048':
        return double.altered?.rsa2048 ?? region.sign(document);
      case ROLE:
        return one.role;
      case `${ROLE}${one.role}`:
        return JSON.stringify({
          Code: 'Success',
          LastUpdated: new Date(now()).toISOString(),
          Type: 'AWS-HMAC',
          AccessKeyId: one.accessKeyId,
          SecretAccessKey: one.secretAccessKey,
          Token: one.sessionToken,
          Expiration: new Date(now() + 6 * 3_600_000).toISOString(),
        });
      default:
        return null;
    }
  }

  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const end = (status: number, body = ''): void => void response.writeHead(status).end(body);
    if (double.state === 'silent') return;
    // A question that went through a proxy comes from somebody else: the real one refuses it as well.
    if (double.state === 'off' || request.headers['x-forwarded-for'] !== undefined) {
      end(403);
      return;
    }
    if (request.method === 'PUT' && path === '/latest/api/token') {
      const seconds = Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (!Number.isInteger(seconds) || seconds < 1 || seconds > 21_600) {
        end(400);
        return;
      }
      const token = randomBytes(40).toString('base64');
      tokens.set(token, now() + seconds * 1000);
      end(200, token);
      return;
    }
    const token = request.headers['x-aws-ec2-metadata-token'];
    if (token === undefined) double.v1 += 1;
    if (typeof token !== 'string' || (tokens.get(token) ?? 0) <= now()) {
      end(401);
      return;
    }
    const answer = request.method === 'GET' ? answerTo(path) : null;
    double.asked.push(path);
    if (answer === null) end(404);
    else end(200, answer);
  });
  server.on('connection', (socket) => {
    if (double.state === 'cut') socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  double.url = `http://127.0.0.1:${address.port}`;
  double.close = async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return double;
}
