export type NginxVersion = readonly [number, number, number];

/** From the words of `nginx -v`; null when they are another program's. */
export function parseVersion(words: string): NginxVersion | null {
  const match = /nginx version: [^/\s]+\/(\d+)\.(\d+)\.(\d+)/.exec(words);
  if (match === null) return null;
  return [Number(match[1]), Number(match[2]), Number(match[3])];
}

export function atLeast(version: NginxVersion, wanted: NginxVersion): boolean {
  for (const at of [0, 1, 2] as const) if (version[at] !== wanted[at]) return version[at] > wanted[at];
  return true;
}
