import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { Agent, request } from 'node:http';
import { z } from 'zod';
import { challengeHeader, possessionText } from '@berth/shared/protocol/enrolment';
import { signIdentityRequest } from '@berth/agent/link/aws-sign-sdk';
import { awsMachine, documentOf, regionKey } from '../fakes/aws-machines.ts';

/**
 * A program that attempts to enrol so many times a second, from one address or from many, and says how it was answered:
 * challenges, join tokens that are not known, keys that it does not hold, documents that nobody signed.
 */
const Options = z.object({
  url: z.string(),
  stsUrl: z.string(),
  perSecond: z.number(),
  seconds: z.number(),
  from: z.enum(['one', 'many']),
});
const { url, stsUrl, perSecond, seconds, from } = Options.parse(JSON.parse(process.argv[2] ?? ''));
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

function post(path: string, body: object, answered: (text: string) => void): void {
  const text = JSON.stringify(body);
  const [a, b, c] = randomBytes(3);
  const sent = request(new URL(path, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
    ...(from === 'one'
      ? { agent: keepAlive }
      : { agent: false, localAddress: `127.${a}.${b}.${(c ?? 0) || 1}` }),
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
    for (; made < due; made += 1) attempt(made);
    if (made < perSecond * seconds) return;
    clearInterval(timer);
    setTimeout(resolve, 1_500);
  }, 5);
});
process.stdout.write(`${JSON.stringify({ made, answers })}\n`);
process.exit(0);
