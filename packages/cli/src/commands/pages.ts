interface Page<T> {
  items: T[];
  next: string | null;
}

/** Reads a list to its end, page by page. */
export async function allPages<T>(
  read: (query: { limit: number; after?: string }) => Promise<Page<T>>,
): Promise<T[]> {
  const all: T[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await read(after === undefined ? { limit: 1000 } : { limit: 1000, after });
    all.push(...page.items);
    if (page.next === null || page.items.length === 0) return all;
    after = page.next;
  }
}
