import type { Command } from 'commander';
import { z } from 'zod';

/** The options of every verb that starts work on a host and follows it. */
export function addWaitOptions(command: Command): Command {
  return command
    .option('--no-wait', 'return as soon as the change is accepted')
    .option('--timeout <time>', 'how long to wait', '5m');
}

export const WaitFlags = z.object({ wait: z.boolean(), timeout: z.string() });
