import { createOutput, type Format, type Output, type Sink } from '../../src/output/output.ts';

/** An output that keeps what was written. */
export function keptOutput(
  format: Format,
  tty: 'terminal' | 'pipe' = 'pipe',
  columns: number | 'unknown' = 60,
) {
  const written = { out: '', err: '' };
  const sink = (key: 'out' | 'err'): Sink => ({
    write: (text) => {
      written[key] += text;
    },
    ...(tty === 'terminal' ? { isTTY: true, ...(columns === 'unknown' ? {} : { columns }) } : {}),
  });
  const output: Output = createOutput({
    format,
    stdout: sink('out'),
    stderr: sink('err'),
    env: tty === 'terminal' ? { TERM: 'xterm' } : {},
  });
  return { output, written };
}
