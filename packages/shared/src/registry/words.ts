/** What another program said, for one line of our own: no control characters, no more than `most` characters. */
export function cleanWords(text: string, most: number): string {
  const line = text.replaceAll(/\p{Cc}+/gu, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}
