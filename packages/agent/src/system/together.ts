/**
 * One piece of work answers all who ask while an earlier one is under way. Each is answered by work that began after it
 * asked, for what began before might have looked too early.
 */
export function answerTogether<T>(work: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | null = null;

  async function after(before: Promise<unknown>): Promise<T> {
    await before.catch(() => undefined);
    next = null;
    const answer = work();
    underWay = answer;
    return answer;
  }

  return () => (next ??= after(underWay));
}
