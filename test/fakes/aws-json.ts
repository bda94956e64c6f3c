import { createServer } from 'node:http';
import { z } from 'zod';
import { signatureFault, type KnownKey } from './sigv4.ts';

/** What a service says no with: its error's type and words. */
export class Refusal extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** One of the AWS services that speak JSON 1.1, over real HTTP. */
export interface AwsJsonDouble {
  url: string;
  /** How it answers: as it should, or as services do on bad days. */
  state: 'up' | 'throttled' | 'denied' | 'silent' | 'broken';
  /** Operations that were well formed and signed, newest last. */
  asked: string[];
  /** Why requests were refused before anybody looked at what they ask for. */
  refused: string[];
  close(): Promise<void>;
}

export const AWS_KEY = { id: 'AKIATESTSECRETS', secret: 'a/secret/access/key', region: 'eu-central-1' };

/** The environment that the SDK takes credentials and region from. */
export const AWS_ENV = {
  AWS_ACCESS_KEY_ID: AWS_KEY.id,
  AWS_SECRET_ACCESS_KEY: AWS_KEY.secret,
  AWS_REGION: AWS_KEY.region,
};

type Operation = (input: unknown) => object;

/** Takes only what the real service could take: POST, the target, the type of content, a signature that holds. */
export async function startAwsJson(
  service: string,
  prefix: string,
  operations: Readonly<Record<string, Operation>>,
): Promise<AwsJsonDouble> {
  const keyOf = (id: string): KnownKey | null =>
    id === AWS_KEY.id ? { secret: AWS_KEY.secret, token: null } : null;
  const double: AwsJsonDouble = {
    url: '',
    state: 'up',
    asked: [],
    refused: [],
    close: () => Promise.resolve(),
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      const end = (status: number, answer: object): void => {
        response.statusCode = status;
        response.end(JSON.stringify(answer));
      };
      const no = (type: string, message: string, status = 400): void =>
        end(status, { __type: type, message });
      const target = String(request.headers['x-amz-target']);
      const name = target.startsWith(`${prefix}.`) ? target.slice(prefix.length + 1) : '';
      const operation = operations[name];
      const fault = signatureFault(request, body, service, keyOf, Date.now());
      const wrong = [
        request.method === 'POST' && request.url === '/' ? '' : `${request.method} ${request.url}`,
        request.headers['content-type'] === 'application/x-amz-json-1.1' ? '' : 'content-type',
        request.headers.host === new URL(double.url).host ? '' : 'host',
        operation === undefined ? `x-amz-target ${target}` : '',
        fault === null ? '' : `${fault.code}: ${fault.message}`,
      ].filter((each) => each !== '');
      if (wrong.length > 0 || operation === undefined) {
        double.refused.push(wrong.join(', '));
        no(fault?.code ?? 'ValidationException', wrong.join(', '));
        return;
      }
      double.asked.push(name);
      switch (double.state) {
        case 'silent':
          return;
        case 'throttled':
          no('ThrottlingException', 'Rate exceeded');
          return;
        case 'broken':
          no('InternalServerError', 'something broke', 500);
          return;
        case 'denied':
          no('AccessDeniedException', `User is not authorized to perform: ${service}:${name}`);
          return;
        case 'up':
          try {
            end(200, operation(JSON.parse(body)));
          } catch (thrown) {
            if (thrown instanceof Refusal) no(thrown.type, thrown.message);
            else if (thrown instanceof z.ZodError) no('ValidationException', thrown.message);
            else throw thrown;
          }
      }
    });
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
