import { createServer } from 'node:http';
import type { AwsMachine } from './aws-machines.ts';
import { signatureFault } from './sigv4.ts';

export interface AwsDouble {
  url: string;
  /** Machines whose credentials are good. */
  machines: AwsMachine[];
  /** How it answers: as it should, or as services do on bad days. */
  state: 'up' | 'throttled' | 'broken' | 'silent' | 'redirect' | 'html';
  /** How far its clock is ahead, in milliseconds. */
  aheadMs: number;
  /** What it said to whom, newest last: codes, or session names. */
  said: string[];
  close(): Promise<void>;
}

const XMLNS = 'https://sts.amazonaws.com/doc/2011-06-15/';

/** STS over HTTP, as far as GetCallerIdentity goes. Signatures are verified for real. */
export function startSts(machines: AwsMachine[]): Promise<AwsDouble> {
  return startAws(machines, 'sts', (machine, form) =>
    form.get('Action') !== 'GetCallerIdentity' || machine === null
      ? null
      : `<GetCallerIdentityResponse xmlns="${XMLNS}">
  <GetCallerIdentityResult>
    <Arn>arn:${partitionOf(machine.region)}:sts::${machine.account}:assumed-role/${machine.role}/${machine.instance}</Arn>
    <UserId>AROA3XFRBF535PLBIFPI4:${machine.instance}</UserId>
    <Account>${machine.account}</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>
`,
  );
}

/** EC2 over HTTP, as far as the tags of an instance go. `caller` is who may ask. */
export function startEc2(caller: AwsMachine, instances: AwsMachine[]): Promise<AwsDouble> {
  return startAws([caller], 'ec2', (machine, form) => {
    const found = instances.find((one) => one.instance === form.get('InstanceId.1'));
    if (machine === null || form.get('Action') !== 'DescribeInstances' || found === undefined) return null;
    const tags = Object.entries(found.tags).map(
      ([key, value]) => `<item><key>${escaped(key)}</key><value>${escaped(value)}</value></item>`,
    );
    return `<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet><item>
<instancesSet><item><instanceId>${found.instance}</instanceId><instanceState><code>16</code><name>running</name></instanceState>
<tagSet>${tags.join('')}</tagSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>`;
  });
}

async function startAws(
  machines: AwsMachine[],
  service: string,
  answerTo: (machine: AwsMachine | null, form: URLSearchParams) => string | null,
): Promise<AwsDouble> {
  const double: AwsDouble = {
    url: '',
    machines,
    state: 'up',
    aheadMs: 0,
    said: [],
    close: () => Promise.resolve(),
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      const now = Date.now() + double.aheadMs;
      const answer = (status: number, text: string, said: string): void => {
        double.said.push(said);
        response.sendDate = false;
        response
          .writeHead(status, { 'content-type': 'text/xml', date: new Date(now).toUTCString() })
          .end(text);
      };
      const refuse = (status: number, code: string, message: string): void =>
        answer(
          status,
          `<ErrorResponse xmlns="${XMLNS}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
          code,
        );
      const broken = badDay(double.state);
      if (broken === 'silent') return;
      if (broken !== null) {
        response.writeHead(broken.status, broken.headers).end(broken.text);
        double.said.push(double.state);
        return;
      }
      const known = (id: string): AwsMachine | null =>
        double.machines.find((one) => one.accessKeyId === id) ?? null;
      const keyOf = (id: string): { secret: string; token: string } | null => {
        const machine = known(id);
        return machine === null ? null : { secret: machine.secretAccessKey, token: machine.sessionToken };
      };
      const fault =
        request.method === 'POST' && request.url === '/'
          ? signatureFault(request, body, service, keyOf, now)
          : { code: 'InvalidAction', message: 'There is nothing here.' };
      if (fault !== null) {
        refuse(403, fault.code, fault.message);
        return;
      }
      const id = /Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      const machine = known(id);
      const text = answerTo(machine, new URLSearchParams(body));
      if (text === null) refuse(400, 'InvalidParameter', 'That is not known here.');
      else answer(200, text, machine?.instance ?? '');
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

function badDay(
  state: AwsDouble['state'],
): 'silent' | { status: number; headers: Record<string, string>; text: string } | null {
  switch (state) {
    case 'up':
      return null;
    case 'silent':
      return 'silent';
    case 'throttled':
      return {
        status: 400,
        headers: {},
        text: '<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>',
      };
    case 'broken':
      return { status: 503, headers: {}, text: 'Service Unavailable' };
    case 'redirect':
      return { status: 302, headers: { location: 'http://127.0.0.1:9/' }, text: '' };
    case 'html':
      return { status: 200, headers: { 'content-type': 'text/html' }, text: '<html>hello</html>' };
  }
}

function partitionOf(region: string): string {
  return region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (each) => `&#${each.charCodeAt(0)};`);
}
