/** Which version this is: `make` writes it beside the pages that it builds. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Version {
  readonly version: string
  /** ISO 8601, or `unbuilt` where the pages are not built. */
  readonly build_time: string
}

/** The folder that holds package.json and build/. */
export const root = join(import.meta.dirname, '..', '..')

export function version(): Version {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  try {
    const { build_time } = JSON.parse(readFileSync(join(root, 'build', 'version.json'), 'utf8')) as Version
    return { version, build_time }
  } catch {
    return { version, build_time: 'unbuilt' }
  }
}
