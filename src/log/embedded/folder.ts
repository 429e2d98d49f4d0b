/** The folder of a store: made where it is missing, and refused where it cannot be written. */
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { FramelogError, systemCode } from '../../errors.ts'

/** @throws FramelogError DATA_DIR_UNUSABLE */
export function useFolder(dir: string): void {
  try {
    makeDirectory(dir)
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new FramelogError(
      'DATA_DIR_UNUSABLE',
      `The data folder ${dir} cannot be written (${systemCode(cause)})`,
      {
        cause,
      },
    )
  }
}

/** Node's own recursive mkdir never returns where the system refuses a name, as under /proc. */
function makeDirectory(dir: string): void {
  if (existsSync(dir)) return
  const parent = dirname(dir)
  if (parent !== dir) makeDirectory(parent)
  mkdirSync(dir)
}
