import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { readFile, statfs } from 'node:fs/promises';

export interface MemoryFacts {
  totalBytes: number;
  availableBytes: number;
}

/** From the text of /proc/meminfo. Throws `internal` when the two lines are missing. */
export function memoryFrom(text: string): MemoryFacts {
  const line = (name: string): number => {
    const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
    if (match?.[1] === undefined) throw new BerthError('internal', `/proc/meminfo has no line ${name}.`);
    return Number(match[1]) * 1024;
  };
  return { totalBytes: line('MemTotal'), availableBytes: line('MemAvailable') };
}

export async function readMemory(): Promise<MemoryFacts> {
  return memoryFrom(await readFile('/proc/meminfo', 'utf8'));
}

/** Size and free space (for others than root) of the file system that holds `path`, in bytes. */
export async function readDisk(path: string): Promise<MemoryFacts> {
  try {
    const facts = await statfs(path);
    return { totalBytes: facts.blocks * facts.bsize, availableBytes: facts.bavail * facts.bsize };
  } catch (cause) {
    throw new BerthError('internal', `The free space of ${path} is not known: ${messageOf(cause)}.`, {
      cause,
    });
  }
}
