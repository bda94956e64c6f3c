/**
 * The front door of this room: a tenant's database is dumped to a store, read back, restored and compared. Nothing here
 * knows of the agent's loop or of schedules.
 */
export type { DatabaseAddress, RemoteProgram, RemotePrograms } from './address.ts';
export { findClients, type ClientPlaces, type ClientPrograms, type ClientSet } from './clients.ts';
export { containerPrograms } from './container-programs.ts';
export { compareWith, expectSame, sentenceOf, type Difference } from './compare.ts';
export { readManifest } from './manifest.ts';
export { restoreBackup, type RestoreBackup } from './restore.ts';
export type { ObjectStore, StoreOptions, Unfinished } from './object-store.ts';
export { keysOf, openStore } from './store.ts';
export { sweep, type Sweep } from './sweep.ts';
export {
  takeBackup,
  type BackupIdentity,
  type BackupPoint,
  type BackupProgress,
  type TakeBackup,
} from './take.ts';
export { readToc, type Toc, type TocEntry } from './toc.ts';
