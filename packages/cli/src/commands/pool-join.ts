import type { AwsRule } from '@berth/shared/api/enrolment';
import type { Command } from 'commander';
import { z } from 'zod';
import { UsageError } from '../exit-codes.ts';
import { clean, type Style } from '../output/style.ts';
import { fields } from '../output/table.ts';
import { argument, collect, does, examples, type ContextOf } from './define.ts';
import { parseTime } from './parse.ts';

const Flags = z.object({
  awsAccount: z.string().optional(),
  region: z.array(z.string()).default([]),
  role: z.array(z.string()).default([]),
  image: z.array(z.string()).default([]),
  tag: z.array(z.string()).default([]),
  maxAge: z.string().optional(),
  none: z.boolean().default(false),
});
type Flags = z.output<typeof Flags>;

/** `berth pool join`: which machines may join a pool without a token. */
export function addPoolJoin(pool: Command, contextOf: ContextOf): void {
  const join = pool
    .command('join')
    .description(
      'say which instances of AWS may join the pool by themselves; it replaces what was said before',
    )
    .argument('<pool>')
    .option('--aws-account <id>', 'the account they must be in')
    .option('--region <region>', 'a region they may be in (may be repeated)', collect)
    .option('--role <name>', 'a role they may have (may be repeated)', collect)
    .option('--image <ami>', 'an image they may be made from (may be repeated; none: any)', collect)
    .option(
      '--tag <name=value>',
      'a tag they must have, as EC2 tells the coordinator (may be repeated)',
      collect,
    )
    .option('--max-age <time>', 'how long ago they may have been started, at most')
    .option('--none', 'nobody joins by himself any more; hosts that are in stay');
  examples(join, [
    ['berth pool join prod --aws-account 123456789012 --region eu-central-1 --role berth-host', ''],
    ['berth pool join prod … --image ami-0123456789abcdef0 --tag env=prod', 'that image and that tag only'],
    ['berth pool join prod --none', 'from now on each host needs a token'],
  ]);
  does(join, contextOf, Flags, async (context, args, flags) => {
    const input = { params: { pool: argument(args, 0) }, body: { aws: ruleOf(flags) } };
    const answer = await context.api().setPoolJoin(input, context.signal);
    context.output.json(answer);
    if (answer.result === 'unchanged') context.output.print('Nothing was changed.');
    else context.output.print(fields(joinFields(answer.aws, context.output.style), context.output.style));
  });
}

function ruleOf(flags: Flags): AwsRule | null {
  const { awsAccount, region, role, image, tag, maxAge, none } = flags;
  if (none) {
    if (awsAccount !== undefined || [region, role, image, tag].some((given) => given.length > 0))
      throw new UsageError('--none takes everything away; it goes with no other option.');
    return null;
  }
  if (awsAccount === undefined || region.length === 0 || role.length === 0)
    throw new UsageError('Say who may join: --aws-account, --region and --role, or --none for nobody.');
  return {
    account: awsAccount,
    regions: region,
    roles: role,
    images: image,
    tags: Object.fromEntries(tag.map(parseTag)),
    maxAgeMs: maxAge === undefined ? null : parseTime(maxAge, '--max-age'),
  };
}

function parseTag(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`--tag ${text} is not NAME=VALUE.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** What is shown of who may join. */
export function joinFields(rule: AwsRule | null, style: Style): [string, string][] {
  if (rule === null) return [['joins', 'with a token: berth host join-token']];
  const tags = Object.entries(rule.tags).map(([name, value]) => `${name}=${value}`);
  const rows: [string, string][] = [
    ['joins', style.green('by itself, an instance of AWS that fits, or with a token')],
    ['account', rule.account],
    ['regions', rule.regions.join(', ')],
    ['roles', rule.roles.join(', ')],
    ['images', rule.images.length === 0 ? 'any' : rule.images.join(', ')],
  ];
  if (tags.length > 0) rows.push(['tags', tags.map(clean).join(', ')]);
  if (rule.maxAgeMs !== null)
    rows.push(['started', `at most ${Math.round(rule.maxAgeMs / 60_000)} minutes before it joins`]);
  return rows;
}
