import { expect, test } from 'vitest';
import { runChecked, runCommand } from '../../src/system/command.ts';

const node = process.execPath;

test('arguments reach the program as they are, whatever a shell would make of them', async () => {
  const args = ['$(id)', '; rm -rf /', '`x`', "'", '"', '*', 'a\nb'];
  const script = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
  const result = await runCommand(node, ['-e', script, '--', ...args]);
  expect(JSON.parse(result.stdout)).toEqual(args);
});

test('input is given and both outputs and the exit code come back', async () => {
  const script =
    'process.stdin.on("data", d => process.stdout.write(d)); process.stderr.write("e"); process.exitCode = 3';
  expect(await runCommand(node, ['-e', script], { input: 'in' })).toEqual({
    code: 3,
    stdout: 'in',
    stderr: 'e',
  });
});

test('a program that takes too long is killed', async () => {
  const running = runCommand(node, ['-e', 'setInterval(() => {}, 1000)'], { timeoutMs: 200 });
  await expect(running).rejects.toMatchObject({ code: 'timeout' });
});

test('a program that says too much is killed', async () => {
  const script = 'for (;;) require("fs").writeSync(1, "x".repeat(65536))';
  const running = runCommand(node, ['-e', script], { maxBytes: 100_000 });
  await expect(running).rejects.toThrow('wrote more than 100000 bytes');
});

test('an abort kills the program and rejects with its reason', async () => {
  const controller = new AbortController();
  const running = runCommand(node, ['-e', 'setInterval(() => {}, 1000)'], { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(running).rejects.toThrow('enough');
  await expect(runCommand(node, ['-v'], { signal: controller.signal })).rejects.toThrow('enough');
});

test('a program that is not there is named', async () => {
  await expect(runCommand('berth-no-such-program', [])).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('berth-no-such-program is not installed'),
  });
});

test('a failure carries the program’s words without control characters', async () => {
  const script = 'process.stderr.write("\\u001b[31mno\\u0007 luck\\n"); process.exit(2)';
  await expect(runChecked(node, ['-e', script])).rejects.toThrow(/failed \(exit 2\): no  luck$/);
});
