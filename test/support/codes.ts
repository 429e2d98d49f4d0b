import { FramelogError } from '../../src/errors.ts'

/** The coded error that something throws. @throws where it throws none, or another one */
export function errorOf(action: () => void): FramelogError {
  try {
    action()
  } catch (error) {
    if (error instanceof FramelogError) return error
    throw error
  }
  throw new Error('Nothing was thrown')
}
