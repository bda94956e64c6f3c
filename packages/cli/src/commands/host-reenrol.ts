import type { Command } from 'commander';
import { z } from 'zod';
import { confirm } from '../output/ask.ts';
import { timestamp } from '../output/format.ts';
import { argument, does, type ContextOf } from './define.ts';
import { hostIdOf } from './host-id.ts';

/** `berth host reenrol`: the way back for an instance that has lost its key. */
export function addReenrol(host: Command, contextOf: ContextOf): void {
  const reenrol = host
    .command('reenrol')
    .description('let the instance of a host bind a new key within 15 minutes, when its key was lost')
    .argument('<host>', 'its id or name')
    .option('-y, --yes', 'do not ask');
  does(reenrol, contextOf, z.object({ yes: z.boolean().default(false) }), async (context, args, options) => {
    const api = context.api();
    const id = await hostIdOf(api, argument(args, 0), context.signal);
    const one = await api.showHost({ params: { host: id } }, context.signal);
    const question =
      `Let ${one.instance ?? one.name} bind a new key as host ${one.name} (${one.host})? ` +
      'Whoever controls that instance within the next 15 minutes becomes this host.';
    if ((await confirm(context, question, options.yes)) === 'no') {
      context.output.print('Nothing was changed.');
      return;
    }
    const opened = await api.reenrolHost({ params: { host: id } }, context.signal);
    context.output.json(opened);
    context.output.print(
      `${opened.instance} may bind a new key as host ${one.name} until ${timestamp(opened.until)} UTC; its agent does so by itself.`,
    );
  });
}
