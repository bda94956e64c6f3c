import { describe, expect, test, vi } from 'vitest';
import { SecretsWant } from '@berth/shared/protocol/messages';
import { createWants } from '../../src/secrets/wants.ts';

const place = (n: number) => ({ tenant: 'acme', name: `KEY_${n}`, version: 1, id: '0123456789abcdef' });
const forever = new AbortController().signal;

describe('what a host lacks', () => {
  test('is asked for until it came, and told to who waits', async () => {
    const wants = createWants();
    let rung = 0;
    wants.onWanting(() => (rung += 1));
    const both = wants.wait([place(1), place(2)], 60_000, forever);
    expect(rung).toBe(1);
    expect(wants.messages()).toEqual([{ type: 'secrets.want', want: [place(1), place(2)] }]);
    wants.came(place(1));
    expect(wants.messages()).toEqual([{ type: 'secrets.want', want: [place(2)] }]);
    wants.came(place(2));
    await both;
    expect(wants.messages()).toEqual([]);
  });

  test('is asked for in messages that the protocol takes, however much it is', () => {
    const wants = createWants();
    wants.add(Array.from({ length: 450 }, (_unused, n) => place(n)));
    const messages = wants.messages();
    expect(messages.flatMap((each) => each.want)).toHaveLength(450);
    for (const message of messages) expect(SecretsWant.safeParse(message).success).toBe(true);
  });

  test('that is refused ends the wait with the reason and the name, and is not asked for any more', async () => {
    const wants = createWants();
    const wait = wants.wait([place(1)], 60_000, forever);
    wants.refused(place(1), 'the key is gone.');
    await expect(wait).rejects.toMatchObject({
      code: 'secret_unavailable',
      message: expect.stringMatching(/KEY_1 \(version 1\) of tenant acme is not to be had: the key is gone/),
    });
    expect(wants.messages()).toEqual([]);
  });

  test('that is refused in words that name it already is named once', async () => {
    const wants = createWants();
    const wait = wants.wait([place(1)], 60_000, forever);
    const words = 'The secret KEY_1 (version 1) of tenant acme cannot be opened: its key is gone.';
    wants.refused(place(1), words);
    await expect(wait).rejects.toMatchObject({ message: words });
  });

  test('that does not come in time is told by its name, and asked for still', async () => {
    const wants = createWants();
    await expect(wants.wait([place(1)], 5, forever)).rejects.toThrow(
      /KEY_1.*the coordinator has not answered/,
    );
    expect(wants.has(place(1))).toBe(true);
    expect(wants.messages()).toHaveLength(1);
  });

  test('is not waited for at length while nobody is connected', async () => {
    vi.useFakeTimers();
    try {
      const wants = createWants();
      const alone = wants.wait([place(1)], 60_000, forever);
      const failed = alone.catch((thrown: unknown) => String(thrown));
      await vi.advanceTimersByTimeAsync(2_000);
      expect(await failed).toMatch(/it comes when they are connected/);
      wants.onWanting(() => undefined);
      let over = false;
      const connected = wants.wait([place(1)], 60_000, forever).finally(() => (over = true));
      await vi.advanceTimersByTimeAsync(2_000);
      expect(over).toBe(false);
      wants.came(place(1));
      await connected;
    } finally {
      vi.useRealTimers();
    }
  });

  test('ends with the wait of who gives up', async () => {
    const wants = createWants();
    const stop = new AbortController();
    const wait = wants.wait([place(1)], 60_000, stop.signal);
    stop.abort();
    await expect(wait).rejects.toMatchObject({ code: 'secret_unavailable' });
  });

  test('of a tenant that is gone is forgotten', () => {
    const wants = createWants();
    wants.add([place(1), { ...place(2), tenant: 'globex' }]);
    wants.forget('acme');
    expect(wants.messages()).toEqual([{ type: 'secrets.want', want: [{ ...place(2), tenant: 'globex' }] }]);
  });
});
