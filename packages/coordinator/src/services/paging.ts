export interface Listed<T> {
  items: T[];
  /** Hand it over as `after` for the next page; null at the end. */
  next: string | null;
}

/** Makes a page of rows that were read with one more than the limit. */
export function listed<T>(rows: readonly T[], limit: number, keyOf: (row: T) => string): Listed<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? keyOf(last) : null };
}
