/**
 * Makes sure, before LMDB maps it, that a store is sound: after a power cut, a copy taken while it was written, a disk
 * that lost pages. What the kernel is known to have whole is not read; anything else is checked, put back to what was
 * wholly on the disk, or built anew from the records that are still there.
 */
import { closeSync, existsSync, fsyncSync, openSync, statSync, writeSync } from 'node:fs'
import { link, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { findFault } from './check.ts'
import { longWork, Pace } from './pace.ts'
import { type Meta, metaPages, PageFile } from './pages.ts'
import { rebuild } from './rebuild.ts'
import { isTrusted, type State, syncFolder } from './state.ts'
import { storeFile } from './store.ts'

/** In the description of the list of free pages: what it describes may not be on the disk yet. */
const unflushed = 0x1000
const flagsAt = 28
const transactionAt = 128

/**
 * @param mayTrust false checks the store whatever is known of it
 * @param warn takes lines for the operator: where something is lost, and how far a long check is
 * @returns whether the store was found as the state beside it says, so that it need not be compared with it
 * @throws FramelogError LOG_FULL where it cannot be built anew; nothing is changed then
 */
export async function prepareStore(
  dir: string,
  state: State | undefined,
  mayTrust: boolean,
  warn: (line: string) => void,
): Promise<boolean> {
  const path = storeFile(dir)
  if (!existsSync(path)) return true
  if (statSync(path).size === 0 && state === undefined) return true
  const isKnown = mayTrust && state !== undefined && isTrusted(path, state.file)
  let fault: string | undefined
  {
    using pages = new PageFile(path)
    const [newest] = pages.metas
    const isLongEnough =
      newest !== undefined && !pages.hasLostMeta && (newest.lastPage + 1) * pages.pageSize <= pages.size
    if (isKnown && isLongEnough) return true
    if (pages.size >= longWork)
      warn(
        `The store in ${dir} was not closed in order here: all of its ${pages.size} bytes are checked first`,
      )
    const check = (meta: Meta): Promise<string | undefined> =>
      findFault(
        pages,
        meta,
        new Pace(pages.size, part => warn(`${part} % of the store in ${dir} are checked`)),
      )
    fault = newest === undefined || pages.hasLostMeta ? 'its first pages are lost' : await check(newest)
    const sound = fault === undefined ? newest : await flushedState(pages, check)
    if (sound !== undefined) {
      pin(path, pages, sound)
      if (fault !== undefined)
        warn(
          `The store in ${dir} was cut off while it was written (${fault}): it is as it was when it was last wholly on the disk`,
        )
      return false
    }
  }
  await replace(dir, path, state, fault ?? '', warn)
  return false
}

/**
 * The newest state that was flushed, where only what came after it is broken: a power cut. Where the flushed one is
 * broken too, or cannot be told, more is to be found by looking at every page.
 */
async function flushedState(
  pages: PageFile,
  check: (meta: Meta) => Promise<string | undefined>,
): Promise<Meta | undefined> {
  const [newest, ...others] = pages.metas
  const flushed = pages.metas.find(({ isFlushed }) => isFlushed)
  if (newest === undefined || flushed === undefined || pages.hasLostMeta) return undefined
  for (const meta of others) {
    const isBetween = meta.transaction >= flushed.transaction && meta.transaction < newest.transaction
    if (isBetween && (await check(meta)) === undefined) return meta
  }
  return undefined
}

/** Writes a meta block to all its places, newer than any that is there, so that LMDB takes no other. */
function pin(path: string, pages: PageFile, meta: Meta): void {
  const block = Buffer.from(meta.bytes)
  block.writeUInt16LE(block.readUInt16LE(flagsAt) & ~unflushed, flagsAt)
  block.writeBigUInt64LE(BigInt((pages.metas[0]?.transaction ?? 0) + 2), transactionAt)
  const fd = openSync(path, 'r+')
  try {
    // All that it names must be on the disk before it is.
    fsyncSync(fd)
    writeSync(fd, metaPages(block, pages.pageSize), 0, 2 * pages.pageSize, 0)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

async function replace(
  dir: string,
  path: string,
  state: State | undefined,
  fault: string,
  warn: (line: string) => void,
): Promise<void> {
  const rebuilt = join(dir, 'log-rebuilt.mdb')
  const remove = async (): Promise<void> => {
    await rm(rebuilt, { force: true })
    await rm(`${rebuilt}-lock`, { force: true })
  }
  await remove()
  const damaged = join(dir, `log-damaged-${new Date().toISOString().replace(/[:.]/g, '-')}.mdb`)
  try {
    const { kept, left, topics } = await rebuild(dir, path, rebuilt, state, warn)
    await link(path, damaged).catch(() => rename(path, damaged))
    await rename(rebuilt, path)
    await syncFolder(dir)
    warn(
      `The store in ${dir} was damaged (${fault}): ${kept} records of ${topics} topics are there again, ` +
        `${left} that were found lie apart from these and are not; the damaged file is ${damaged}`,
    )
  } finally {
    await remove()
  }
}
