import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createImds } from '../../src/system/imds.ts';
import { awsMachine, documentOf, regionKey } from '../../../../test/fakes/aws-machines.ts';
import { startImds, type ImdsDouble } from '../../../../test/fakes/imds.ts';

const region = regionKey();
const machine = awsMachine();
let double: ImdsDouble;
beforeEach(async () => {
  double = await startImds(machine, region);
});
afterEach(async () => {
  await double.close();
});

describe('the metadata service', () => {
  test('is asked by version 2 only, for the document as it is and the role that there is', async () => {
    const imds = createImds(double.url);
    const document = await imds.document();
    expect(document).toMatchObject({ instance: machine.instance, region: machine.region });
    expect(document.text).toBe(documentOf(machine));
    expect(document.rsa2048).toMatch(/^[A-Za-z0-9+/]+=*$/);
    expect(await imds.credentials()).toEqual({
      accessKeyId: machine.accessKeyId,
      secretAccessKey: machine.secretAccessKey,
      sessionToken: machine.sessionToken,
    });
    expect(double.v1).toBe(0);
  });

  test('that refuses version 2 is not asked by version 1', async () => {
    for (const status of [400, 403, 404, 405, 500]) {
      const asked: string[] = [];
      const server = createServer((request, response) => {
        asked.push(request.method ?? '');
        // Version 1 would be there for whoever asks.
        response.writeHead(request.method === 'PUT' ? status : 200).end(documentOf(machine));
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      const port = address === null || typeof address === 'string' ? 0 : address.port;
      try {
        await expect(createImds(`http://127.0.0.1:${port}`).document()).rejects.toThrow(/gives no token/);
        expect(asked).toEqual(['PUT']);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    }
  });

  test('that is off, cut, silent or not there is unavailable, in a sentence', async () => {
    const imds = createImds(double.url, 200);
    for (const state of ['off', 'cut', 'silent'] as const) {
      double.state = state;
      await expect(imds.document()).rejects.toMatchObject({ code: 'unavailable' });
    }
    await expect(createImds('http://127.0.0.1:9', 200).document()).rejects.toThrow(
      /cannot show who it is, and waits/,
    );
  });

  test('whose document or role is none is not believed', async () => {
    const imds = createImds(double.url);
    double.altered = { document: '{"instanceId":"../../x"}', rsa2048: 'AAAA' };
    await expect(imds.document()).rejects.toThrow(/has no identity document/);
    double.machine = { ...machine, role: 'a b\nc' };
    await expect(imds.credentials()).rejects.toThrow(/knows no role/);
  });

  test('gives tokens that run out, and takes none of its own invention', async () => {
    const token = await fetch(`${double.url}/latest/api/token`, {
      method: 'PUT',
      headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' },
    }).then((answer) => answer.text());
    const path = `${double.url}/latest/dynamic/instance-identity/document`;
    const ask = (given: string) => fetch(path, { headers: { 'x-aws-ec2-metadata-token': given } });
    expect((await ask(token)).status).toBe(200);
    double.aheadMs = 61_000;
    expect((await ask(token)).status).toBe(401);
    expect((await ask('made up')).status).toBe(401);
    expect((await fetch(path)).status).toBe(401);
  });
});
