import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { partitionOf } from './document.ts';
import { signedHeaders, type AwsCredentials } from './sigv4.ts';

const CONTENT_TYPE = 'application/x-www-form-urlencoded; charset=utf-8';
const TIMEOUT_MS = 5_000;
const MAX_TEXT = 256 * 1024;

export interface TagsOptions {
  /** Instead of EC2's own address, for tests and VPC endpoints. */
  endpoint: string | null;
  credentials(region: string): Promise<AwsCredentials>;
  at: number;
}

/**
 * The tags of a running instance, asked of EC2 with the coordinator's own credentials. Errors: `unavailable` when it
 * cannot be asked or does not know a running instance of this name.
 */
export async function tagsOf(
  instance: string,
  region: string,
  options: TagsOptions,
  signal?: AbortSignal,
): Promise<Record<string, string>> {
  const domain = partitionOf(region) === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
  const url = new URL(options.endpoint ?? `https://ec2.${region}.${domain}`);
  const body = new URLSearchParams({
    Action: 'DescribeInstances',
    Version: '2016-11-15',
    'InstanceId.1': instance,
  }).toString();
  const failed = (why: string, cause?: unknown): BerthError =>
    new BerthError(
      'unavailable',
      `The coordinator cannot ask EC2 for the tags of ${instance} (${region}): ${why}. Its own AWS credentials need ec2:DescribeInstances; without tags in the pool's rule none are asked for.`,
      { cause },
    );
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  let status: number;
  let text: string;
  try {
    const credentials = await options.credentials(region);
    const headers = signedHeaders(
      { host: url.host, body, contentType: CONTENT_TYPE },
      { credentials, region, service: 'ec2', at: options.at },
    );
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'error',
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
    status = answer.status;
    text = await answer.text();
  } catch (cause) {
    throw failed(deadline.aborted ? `it did not answer within ${TIMEOUT_MS} ms` : messageOf(cause), cause);
  }
  if (status !== 200)
    throw failed(`it answered ${status} ${/<Code>([\w.]{1,80})<\/Code>/.exec(text)?.[1] ?? ''}`.trim());
  if (text.length > MAX_TEXT) throw failed('its answer is too long');
  const one = /<instancesSet>\s*<item>([^]*)<\/item>\s*<\/instancesSet>/.exec(text)?.[1] ?? '';
  if (/<instanceId>([^<]*)<\/instanceId>/.exec(one)?.[1] !== instance)
    throw failed('it does not know this instance');
  const state = /<instanceState>[^]*?<name>([^<]*)<\/name>/.exec(one)?.[1];
  if (state !== 'running' && state !== 'pending')
    throw failed(`it says that the instance is ${state ?? 'in no state'}`);
  return tagsIn(one);
}

function tagsIn(item: string): Record<string, string> {
  const set = /<tagSet>([^]*?)<\/tagSet>/.exec(item)?.[1] ?? '';
  const tags: [string, string][] = [];
  for (const [, key, value] of set.matchAll(
    /<item>\s*<key>([^<]*)<\/key>\s*(?:<value>([^<]*)<\/value>|<value\/>)\s*<\/item>/g,
  ))
    tags.push([unescaped(key ?? ''), unescaped(value ?? '')]);
  return Object.fromEntries(tags);
}

function unescaped(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
  return text.replace(
    /&(?:(lt|gt|quot|apos|amp)|#(\d{1,7})|#x([0-9a-fA-F]{1,6}));/g,
    (all, name, decimal, hex) => {
      if (typeof name === 'string') return named[name] ?? all;
      const code = typeof decimal === 'string' ? Number(decimal) : Number.parseInt(String(hex), 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );
}
