/** The oldest opset a model is raised from: before it, broadcasting was another. */
export const oldestRaised = 7
/** The newest opset the rules reach. */
export const newestRaised = 21
