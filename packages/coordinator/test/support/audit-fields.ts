/**
 * Fields of `before` and `after` in the audit that somebody has looked at: none of them can hold a secret. A field that a
 * mutation newly puts on record is added here by whoever has looked at it.
 */
export const REVIEWED: ReadonlySet<string> = new Set(
  `
  account app approval apps atOnce audience aws bakeMs by choice cidrs connections count createdAt createdBy current database decisions digest
  domains egress epoch errorRate expiresAt fingerprint frozen generation held host id images instance issuer key keys kind labels
  lastUsedAt latencyFactor left latencyMs maxAgeMs maxFailures minRequests mode moveTimeoutMs name onFailure open order other
  past path percent perHost pinned pins policy pool pools port publicKey reason ref regions release renewed replace repository required reservedCpus
  reservedMemory revision role roles routes schema scheduling scope secrets server services signatures since sslmode standing state subdomain
  surgeMemory tags target tenancy tenant tenants to traffic ttlMs until updatedAt user variables version versions wave waves window
`
    .trim()
    .split(/\s+/),
);

/** Their keys are data: labels, services, states of tenants. */
export const MAPS: ReadonlySet<string> = new Set(['labels', 'pins', 'tenants', 'tags']);
