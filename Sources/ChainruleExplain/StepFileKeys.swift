import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
internal import CJansson

/// What a step file may say. JSONDecoder passes over keys that it does not know, and takes the last of two that are the
/// same: a number that is misspelt would be left out, and the lesson wrong.
extension StepFile {
  /// Refuses what is no JSON, a key that stands twice, and one that means nothing where it stands, in a step file or in one
  /// with several steps, its "examples".
  static func checkKeys(_ json: Data) throws {
    let file = try JSONValue(parsing: json)
    defer { json_decref(file.pointer) }
    guard file["examples"].isThere else { return try checkKeys(of: file, "") }
    try check(file, "", keys: ["examples"])
    for (index, step) in file["examples"].elements { try checkKeys(of: step, "examples[\(index)].") }
  }

  /// What a golden file says of the page that printed its numbers; nothing reads it.
  private static let remarks = ["note", "printed", "exact", "errata"]

  /// `path` leads to the step, a dot at its end.
  private static func checkKeys(of file: JSONValue, _ path: String) throws {
    try check(file, path, keys: CodingKeys.allCases.map(\.rawValue) + remarks)
    for (index, layer) in file["layers"].elements {
      let type = layer["type"].text
      let keys = type.flatMap { Layer.keys[$0] }
      try check(
        layer, "\(path)layers[\(index)].", keys: keys ?? Layer.CodingKeys.allCases.map(\.rawValue),
        of: keys == nil ? nil : type)
    }
    try check(file["optimizer"], "\(path)optimizer.", keys: Chainrule.Optimizer.Hyperparameter.keys)
    for (index, batch) in file["batches"].elements {
      try check(batch, "\(path)batches[\(index)].", keys: Batch.CodingKeys.allCases.map(\.rawValue))
    }
    let expect = file["expect"]
    try check(expect, "\(path)expect.", keys: Expect.CodingKeys.allCases.map(\.rawValue))
    for name in ["gradients", "parametersAfter"] {
      for (index, layer) in expect[name].elements {
        try check(
          layer, "\(path)expect.\(name)[\(index)].", keys: Parameters.CodingKeys.allCases.map(\.rawValue))
      }
    }
  }

  /// Refuses a key of an object that is not among `keys`.
  private static func check(
    _ object: JSONValue, _ path: String, keys: [String], of kind: String? = nil
  ) throws {
    guard let unknown = object.keys.filter({ !keys.contains($0) }).min() else { return }
    let hint =
      nearest(to: unknown, among: keys).map { "did you mean \($0)?" } ?? "expected \(list(keys, "or"))"
    throw StepFileError(
      place: path + unknown,
      reason: (kind.map { "there is no such key of \($0); " } ?? "there is no such key; ") + hint)
  }
}

/// A value in a JSON text, or none. What is asked of a value of another type is empty, too.
private struct JSONValue {
  let pointer: UnsafeMutablePointer<json_t>?

  private init(pointer: UnsafeMutablePointer<json_t>?) { self.pointer = pointer }

  /// The whole of a text, which the caller releases and which holds all its values: unlike JSONDecoder, jansson refuses a
  /// key that stands twice.
  ///
  /// - Throws: The line and column of what RFC 8259 does not allow.
  init(parsing json: Data) throws {
    var error = json_error_t()
    pointer = json.withUnsafeBytes { bytes in
      json_loadb(bytes.baseAddress, bytes.count, Int(JSON_REJECT_DUPLICATES), &error)
    }
    guard pointer == nil else { return }
    let text = withUnsafeBytes(of: error.text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    throw StepFileError(place: "line \(error.line), column \(error.column)", reason: text)
  }

  var isThere: Bool { pointer != nil }

  /// The value of a key of an object.
  subscript(key: String) -> JSONValue { JSONValue(pointer: json_object_get(pointer, key)) }

  /// The keys of an object.
  var keys: [String] {
    var keys: [String] = []
    var place = json_object_iter(pointer)
    while let current = place {
      keys.append(String(cString: json_object_iter_key(current)))
      place = json_object_iter_next(pointer, current)
    }
    return keys
  }

  /// The elements of an array, each with its place.
  var elements: [(Int, JSONValue)] {
    (0..<json_array_size(pointer)).map { ($0, JSONValue(pointer: json_array_get(pointer, $0))) }
  }

  /// The characters of a string.
  var text: String? { json_string_value(pointer).map { String(cString: $0) } }
}

extension StepFile.Layer {
  /// The keys of each type of layer.
  fileprivate static let keys: [String: [String]] = [
    "dense": ["type", "units", "activation", "weights", "bias"], "activation": ["type", "activation"],
    "dropout": ["type", "rate"],
    "batchNorm": ["type", "epsilon", "momentum", "gamma", "beta", "mean", "var"],
    "layerNorm": ["type", "epsilon", "gamma", "beta"], "scaling": ["type", "mean", "deviation"],
    "residual": ["type", "span"],
  ]
}
