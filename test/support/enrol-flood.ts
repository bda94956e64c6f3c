import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { Agent, request } from 'node:http';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { EMPTY_DIGEST } from '@berth/shared/domain/desired';
import { challengeHeader, possessionText } from '@berth/shared/protocol/enrolment';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '@berth/shared/protocol/messages';
import { signIdentityRequest } from '@berth/agent/link/aws-sign-sdk';
import { awsMachine, documentOf, regionKey } from '../fakes/aws-machines.ts';

/**
 * A program that attempts to enrol, or to connect, so many times a second, from one address or from many, and says how it
 * was answered: challenges, join tokens that are not known, keys that it does not hold, documents that nobody signed; hellos
 * of hosts that there are not, and none at all.
 */
const Options = z.object({
  url: z.string(),
  stsUrl: z.string(),
  perSecond: z.number(),
  seconds: z.number(),
  from: z.enum(['one', 'many']),
  what: z.enum(['enrol', 'connect']),
});
const { url, stsUrl, perSecond, seconds, from, what } = Options.parse(JSON.parse(process.argv[2] ?? ''));
const Challenge = z.object({ challenge: z.string() });

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const machine = awsMachine();
const document = documentOf(machine);
const rsa2048 = regionKey().sign(document).replace(/\s/g, '');
const keepAlive = new Agent({ keepAlive: true, maxSockets: 64 });
const answers: Record<string, number> = {};
let challenge = '';
let proof: object = {};

async function renew(text: string): Promise<void> {
  challenge = text;
  proof = {
    pool: 'prod',
    name: 'flood',
    publicKey: spki,
    challenge,
    possession: sign(null, Buffer.from(possessionText(challenge)), privateKey).toString('base64'),
    aws: {
      sts: await signIdentityRequest({
        endpoint: new URL(stsUrl),
        region: machine.region,
        credentials: machine,
        header: challengeHeader(challenge, spki),
        at: Date.now(),
      }),
      document,
      rsa2048,
    },
  };
}

function count(answer: string): void {
  answers[answer] = (answers[answer] ?? 0) + 1;
}

function anAddress(): string {
  const [a, b, c] = randomBytes(3);
  return `127.${a}.${b}.${(c ?? 0) || 1}`;
}

/** Two of three say a hello that is good for nothing, the third says none. */
function connect(number: number): void {
  const socket = new WebSocket(`${url}/api/v1/agent/connect`, SUBPROTOCOL, {
    perMessageDeflate: false,
    ...(from === 'one' ? {} : { localAddress: anAddress() }),
  });
  socket.on('error', () => undefined);
  socket.on('close', (code) => count(String(code)));
  socket.on('message', () => {
    if (number % 3 !== 0) socket.send(hello);
  });
}

const hello = JSON.stringify({
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  host: 'h_0000000000000000',
  signature: 'A'.repeat(86) + '==',
  epoch: 0,
  revision: 0,
  digest: EMPTY_DIGEST,
  agentVersion: '0.1.0',
  bootId: 'boot',
  capacity: { memoryBytes: 1, cpus: 1, diskBytes: 1 },
  facts: {},
  ingress: { address: '127.0.0.1', port: 80 },
});

function post(path: string, body: object, answered: (text: string) => void): void {
  const text = JSON.stringify(body);
  const sent = request(new URL(path, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    ...(from === 'one' ? { agent: keepAlive } : { agent: false, localAddress: anAddress() }),
  });
  const count = (what: string): void => {
    answers[what] = (answers[what] ?? 0) + 1;
  };
  sent.on('error', () => count('error'));
  sent.on('response', (response) => {
    let said = '';
    response.setEncoding('utf8').on('data', (part: string) => (said += part));
    response.on('end', () => {
      count(String(response.statusCode));
      answered(said);
    });
    response.on('error', () => count('error'));
  });
  sent.end(text);
}

const nothing = (): void => undefined;
function attempt(number: number): void {
  switch (number % 4) {
    case 0:
      post('/api/v1/hosts/enrol/challenge', {}, (text) => {
        const given = Challenge.safeParse(JSON.parse(text));
        if (given.success) void renew(given.data.challenge);
      });
      return;
    case 1: {
      const token = `berth_join_${randomBytes(18).toString('hex')}`;
      post('/api/v1/hosts/enrol', { token, publicKey: spki, name: 'flood' }, nothing);
      return;
    }
    case 2:
      post('/api/v1/hosts/enrol', { ...proof, possession: 'AAAA' }, nothing);
      return;
    default:
      post('/api/v1/hosts/enrol', proof, nothing);
  }
}

const begun = Date.now();
let made = 0;
await new Promise<void>((resolve) => {
  const timer = setInterval(() => {
    const due = Math.min(perSecond * seconds, Math.floor(((Date.now() - begun) / 1000) * perSecond));
    for (; made < due; made += 1)
      if (what === 'connect') connect(made);
      else attempt(made);
    if (made < perSecond * seconds) return;
    clearInterval(timer);
    setTimeout(resolve, 1_500);
  }, 5);
});
process.stdout.write(`${JSON.stringify({ made, answers })}\n`);
process.exit(0);
