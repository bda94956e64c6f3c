import type { Tenant, TenantRolloutSettings } from '@berth/shared/api/schemas';
import { opensAt, parseWindow } from '@berth/shared/domain/window';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Context } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { duration } from '../output/format.ts';
import { clean } from '../output/style.ts';
import { argument, collect, does, examples, NoOptions, type ContextOf } from './define.ts';
import { parseTag } from './parse.ts';

/** How rollouts treat a tenant: pin, tags, maintenance window. */
export function registerTenantRollouts(tenant: Command, contextOf: ContextOf): void {
  const pin = tenant
    .command('pin')
    .description('keep a tenant on its release: rollouts leave it alone')
    .argument('<tenant>')
    .requiredOption('--reason <text>', 'why, for whoever wonders later');
  examples(pin, [['berth tenant pin acme --reason "audit until friday"', '']]);
  does(pin, contextOf, z.object({ reason: z.string() }), async (context, args, given) => {
    if (given.reason.trim() === '') throw new UsageError('--reason must say why.');
    const one = await change(context, argument(args, 0), { pinned: given.reason });
    context.output.print(`${one.tenant} is pinned to release ${one.release}: ${clean(given.reason)}`);
  });

  const unpin = tenant.command('unpin').description('let rollouts move it again').argument('<tenant>');
  does(unpin, contextOf, NoOptions, async (context, args) => {
    const one = await change(context, argument(args, 0), { pinned: null });
    context.output.print(
      `${one.tenant} is not pinned; a rollout that skipped it and still goes on picks it up`,
    );
  });

  const tag = tenant
    .command('tag')
    .description('add tags such as canary or tier=free, or remove some')
    .argument('<tenant>')
    .argument('[tags...]', 'tags to add')
    .option('--remove <tag>', 'a tag to take away; may be said again', collect);
  examples(tag, [
    ['berth tenant tag acme canary tier=pro', ''],
    ['berth tenant tag acme --remove canary', ''],
  ]);
  does(
    tag,
    contextOf,
    z.object({ remove: z.array(z.string()).default([]) }),
    async (context, args, given) => {
      const addTags = args.slice(1).map((text) => parseTag(text, 'The tag'));
      const removeTags = given.remove.map((text) => parseTag(text, '--remove'));
      if (addTags.length + removeTags.length === 0)
        throw new UsageError('Say which tags.', 'Such as: berth tenant tag acme canary --remove tier=free');
      const one = await change(context, argument(args, 0), { addTags, removeTags });
      context.output.print(`${one.tenant}: ${one.tags.join(' ') || 'no tags'}`);
    },
  );

  const window = tenant
    .command('window')
    .description('when rollouts may move it, in its own time zone')
    .argument('<tenant>')
    .argument('[window]', 'such as "Mon-Fri 22:00-04:00 Europe/Berlin"')
    .option('--none', 'at any time');
  examples(window, [
    ['berth tenant window acme "Mon-Fri 22:00-04:00 Europe/Berlin"', ''],
    ['berth tenant window acme "daily 01:00-05:00 UTC"', ''],
    ['berth tenant window acme --none', ''],
  ]);
  does(window, contextOf, z.object({ none: z.boolean().default(false) }), async (context, args, given) => {
    const text = args[1];
    if ((text === undefined) !== given.none)
      throw new UsageError(
        'Say a window or --none.',
        'Such as: berth tenant window acme "daily 01:00-05:00 UTC"',
      );
    if (text !== undefined) {
      const parsed = parseWindow(text);
      if (!parsed.ok) throw new UsageError(parsed.error);
    }
    const one = await change(context, argument(args, 0), { window: text ?? null });
    context.output.print(
      one.window === null
        ? `${one.tenant} may be moved at any time`
        : `${one.tenant} may be moved ${windowText(one.window, context.clock.now())}`,
    );
  });
}

async function change(
  context: Context,
  tenant: string,
  settings: Partial<TenantRolloutSettings>,
): Promise<Tenant> {
  const one = await context.api().setTenant({ params: { tenant }, body: settings }, context.signal);
  context.output.json(one);
  return one;
}

/** A window with whether it is open, or when it opens. */
export function windowText(text: string, now: number): string {
  const parsed = parseWindow(text);
  if (!parsed.ok) return clean(text);
  const opens = opensAt(parsed.window, now);
  if (opens === null) return clean(text);
  return `${clean(text)} (${opens === now ? 'open now' : `opens in ${duration(opens - now)}`})`;
}
