import { expect, test } from 'vitest';
import { fieldChange, fieldWords, valueWords } from '../src/commands/change-words.ts';
import { styleOf } from '../src/output/style.ts';
import { fakeApi } from './support/fake-api.ts';
import { changes, plan, tenant } from './support/long.ts';
import { run } from './support/run.ts';

const plain = styleOf('off', () => 80);
const said = (path: string, before: string | null, after: string | null): string =>
  fieldChange({ path, before, after }, plain, 2);

test('times and sizes of a change come with their units, and nothing of them is lost', () => {
  expect(said('bakeMs', '65000', '60000')).toBe('bake: 65 s → 60 s');
  expect(said('bakeMs', '125000', '126500')).toBe('bake: 2 min 5 s → 2 min 6.5 s');
  expect(said('services.web.limits.memoryBytes', '268435456', '268435457')).toBe(
    'web memory limit: 256 MiB → 268435457 B',
  );
  expect(said('services.web.stopGraceMs', '10000', '500')).toBe('web stop grace: 10 s → 500 ms');
});

test('a field is called as people call it', () => {
  expect(fieldWords('operator-egress')).toBe("egress (an operator's word)");
  expect(fieldWords('services.web.healthcheck.startPeriodMs')).toBe('web healthcheck start period');
  expect(fieldWords('services.web.pullPolicy')).toBe('web pull policy');
  expect(fieldWords('services.web.secretEnv.DB_URL')).toBe('web secret in variable DB_URL');
  expect(fieldWords('release.timeoutMs')).toBe('time for the release command');
});

test('what the author of an app has named or written stays as it is', () => {
  expect(fieldWords('services.web.environment.timeoutMs')).toBe('web environment timeoutMs');
  expect(fieldWords('services.web.labels.com.example.fooBar')).toBe('web label com.example.fooBar');
  expect(valueWords('services.web.environment.timeoutMs', '65000')).toBe('65000');
  expect(valueWords('services.web.environment.ON', 'true')).toBe('true');
});

test('lists are read without brackets', () => {
  expect(said('domains', '["a.example.com"]', '["a.example.com","b.example.com"]')).toBe(
    'domains: a.example.com → a.example.com, b.example.com',
  );
  expect(valueWords('services.web.command', '["node","server.js","--port","80"]')).toBe(
    'node server.js --port 80',
  );
  expect(valueWords('services.web.volumes', '[]')).toBe('(none)');
  const mount = '[{"readOnly":true,"target":"/data","volume":"files"}]';
  expect(valueWords('services.web.volumes', mount)).toBe('files at /data (read only)');
  const needs = '[{"condition":"healthy","required":true,"service":"db"}]';
  expect(valueWords('services.web.dependsOn', needs)).toBe('db (healthy)');
  const memory = '[{"sizeBytes":67108864,"target":"/tmp"}]';
  expect(valueWords('services.web.tmpfs', memory)).toBe('size 64 MiB, target /tmp');
  expect(valueWords('services.web.command', '[broken')).toBe('[broken');
});

test('of very long values the part is shown in which they differ', () => {
  const text = said('services.web.environment.A', `${'a'.repeat(500)}old`, `${'a'.repeat(500)}new`);
  expect(text).toMatch(/…a+old \(503 characters\)/);
  expect(text).toMatch(/→ …a+new \(503 characters\)/);
});

test('with --json a plan has the fields and values as the API names them', async () => {
  const fake = await fakeApi({ showTenant: () => tenant(), planTenant: () => plan });
  const { out } = await run(fake.url, ['tenant', 'plan', tenant().tenant, '--var', 'A=1', '--json']);
  await fake.close();
  expect(JSON.parse(out)).toMatchObject({ changes });
});
