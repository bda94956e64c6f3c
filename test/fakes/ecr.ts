import { createServer } from 'node:http';

/** What ECR answers to GetAuthorizationToken. */
export interface EcrAnswer {
  username: string;
  password: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

export interface EcrDouble {
  url: string;
  /** Requests that were well formed and signed. */
  asked: number;
  /** Why requests were refused: a double that took anything would prove nothing. */
  refused: string[];
  close(): Promise<void>;
}

const TARGET = 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken';

/** ECR's API over HTTP, for one key in one region. It takes only what the real one could take. */
export async function startEcr(
  key: { id: string; region: string },
  answer: () => EcrAnswer | 'denied',
): Promise<EcrDouble> {
  const signed = new RegExp(
    `^AWS4-HMAC-SHA256 Credential=${key.id}/\\d{8}/${key.region}/ecr/aws4_request, ` +
      'SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$',
  );
  const double: EcrDouble = { url: '', asked: 0, refused: [], close: () => Promise.resolve() };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const { authorization = '', host = '' } = request.headers;
      const headers = signed.exec(authorization)?.[1]?.split(';') ?? [];
      const wrong = [
        request.method === 'POST' && request.url === '/' ? '' : `${request.method} ${request.url}`,
        request.headers['x-amz-target'] === TARGET ? '' : 'x-amz-target',
        request.headers['content-type'] === 'application/x-amz-json-1.1' ? '' : 'content-type',
        ['host', 'x-amz-date', 'x-amz-target'].every((name) => headers.includes(name)) ? '' : 'signature',
        /^\d{8}T\d{6}Z$/.test(String(request.headers['x-amz-date'])) ? '' : 'x-amz-date',
        host === new URL(double.url).host ? '' : 'host',
        body === '{}' ? '' : 'body',
      ].filter((each) => each !== '');
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      const given = answer();
      if (wrong.length > 0) {
        double.refused.push(wrong.join(', '));
        response.statusCode = 400;
        response.end(JSON.stringify({ __type: 'InvalidSignatureException', message: wrong.join(', ') }));
      } else if (given === 'denied') {
        double.asked += 1;
        response.statusCode = 400;
        response.end(JSON.stringify({ __type: 'AccessDeniedException', message: 'not authorized' }));
      } else {
        double.asked += 1;
        const token = Buffer.from(`${given.username}:${given.password}`).toString('base64');
        response.end(
          JSON.stringify({
            authorizationData: [
              { authorizationToken: token, expiresAt: given.expiresAt / 1000, proxyEndpoint: 'https://ecr' },
            ],
          }),
        );
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
