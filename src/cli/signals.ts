/** Signals by which a command is asked to come to an end. */
export const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Calls once, at the first of them; the next kills. @returns what takes it back */
export function onStopSignal(stop: () => void): () => void {
  const unhook = (): void => {
    for (const signal of stopSignals) process.off(signal, onSignal)
  }
  const onSignal = (): void => {
    unhook()
    stop()
  }
  for (const signal of stopSignals) process.on(signal, onSignal)
  return unhook
}
