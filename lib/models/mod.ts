/**
 * Finding and fetching model files.
 *
 * @module
 */
export * from "./hub_source.ts";
export * from "./known_models.ts";
export * from "./locate_model.ts";
export * from "./model_file.ts";
export * from "./model_source.ts";
export * from "./models_directory.ts";
export * from "./pip_source.ts";
export * from "./reference.ts";
export * from "./terminal_progress.ts";
