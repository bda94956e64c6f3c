import { BerthError } from '@berth/shared/domain/errors';
import { runCommand } from './command.ts';
import type { KernelRoutes } from './nft-routes.ts';
import { tableFrom, type KernelTable } from './nft-table.ts';
import { tableName } from './names.ts';
import { cleanLine } from './text.ts';

/** The `nft` program, for the one table that this agent owns. */
export class Nft {
  readonly table: string;

  constructor(agent: string) {
    this.table = tableName(agent);
  }

  /** Loads a script as one transaction: all of it or nothing. Throws `route_failed` with nft's words. */
  async load(script: string, signal?: AbortSignal): Promise<void> {
    const result = await runCommand('nft', ['-f', '-'], { input: script, signal });
    if (result.code !== 0)
      throw new BerthError('route_failed', `nft refused the change: ${cleanLine(result.stderr, 600)}`);
  }

  /** What the kernel's route maps hold. */
  async readRoutes(signal?: AbortSignal): Promise<KernelRoutes> {
    return (await this.readTable(signal)).routes;
  }

  /** All of the table. */
  async readTable(signal?: AbortSignal): Promise<KernelTable> {
    const result = await runCommand('nft', ['-j', '-s', 'list', 'table', 'inet', this.table], { signal });
    if (result.code === 0) {
      const parsed: unknown = JSON.parse(result.stdout);
      return tableFrom(parsed);
    }
    if (!isMissing(result.stderr))
      throw new BerthError('route_failed', `nft cannot list its table: ${cleanLine(result.stderr, 600)}`);
    return { fixed: null, routes: { present: false, single: new Map(), spread: new Map() } };
  }

  /** Removes the table and all in it. No error when there is none. */
  async drop(signal?: AbortSignal): Promise<void> {
    await this.load(`add table inet ${this.table}\ndelete table inet ${this.table}\n`, signal);
  }
}

function isMissing(words: string): boolean {
  return words.includes('No such file or directory');
}
