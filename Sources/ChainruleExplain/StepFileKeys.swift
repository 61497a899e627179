import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
internal import CJansson

/// Checks the keys of a step file. JSONDecoder ignores unknown keys and takes the last of two equal keys, so a misspelt
/// number would be ignored.
extension StepFile {
  /// Refuses invalid JSON, repeated keys and unknown keys, in a step file or in a file with several steps, its "examples".
  static func checkKeys(_ json: Data) throws {
    let file = try JSONValue(parsing: json)
    defer { json_decref(file.pointer) }
    guard file["examples"].isThere else { return try checkKeys(of: file, "") }
    try check(file, "", keys: ["examples"])
    for (index, step) in file["examples"].elements { try checkKeys(of: step, "examples[\(index)].") }
  }

  /// The keys of `Schedule`.
  private static let scheduleKeys = [
    "type", "unit", "warmUp", "warmUpFactor", "length", "growth", "factor", "minimum", "rise", "divisor",
    "finalDivisor",
  ]

  /// Keys of golden files that describe the page with the numbers; they are not read.
  private static let remarks = ["note", "printed", "exact", "errata"]

  /// - Parameter path: Where the step is in the file, with a dot at its end; empty for a single step.
  private static func checkKeys(of file: JSONValue, _ path: String) throws {
    try check(file, path, keys: CodingKeys.allCases.map(\.rawValue) + remarks)
    for (index, layer) in file["layers"].elements {
      let type = layer["type"].text
      let keys = type.flatMap { Layer.keys[$0] }
      try check(
        layer, "\(path)layers[\(index)].", keys: keys ?? Layer.CodingKeys.allCases.map(\.rawValue),
        of: keys == nil ? nil : type)
      try check(
        layer["names"], "\(path)layers[\(index)].names.", keys: Names.CodingKeys.allCases.map(\.rawValue))
    }
    try check(file["schedule"], "\(path)schedule.", keys: scheduleKeys)
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

  /// Refuses the first key of an object that is not in `keys`.
  private static func check(
    _ object: JSONValue, _ path: String, keys: [String], of kind: String? = nil
  ) throws {
    guard let unknown = object.keys.filter({ !keys.contains($0) }).min() else { return }
    let hint =
      nearest(to: unknown, among: keys).map { "did you mean \($0)?" } ?? "expected \(list(keys, "or"))"
    throw StepFileError(
      place: path + unknown,
      reason: (kind.map { "unknown key of a \($0) layer; " } ?? "unknown key; ") + hint)
  }
}

/// A value in a JSON text, or no value. Keys, elements and text of a value of another type are empty.
private struct JSONValue {
  let pointer: UnsafeMutablePointer<json_t>?

  private init(pointer: UnsafeMutablePointer<json_t>?) { self.pointer = pointer }

  /// Parses a text with jansson, which refuses repeated keys. The caller releases the value, which owns all values in it.
  ///
  /// - Throws: `StepFileError` with the line and column of an error in the JSON.
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
    "dense": ["type", "units", "activation", "weights", "bias", "initializer", "names"],
    "activation": ["type", "activation"],
    "dropout": ["type", "rate"],
    "batchNorm": ["type", "epsilon", "momentum", "gamma", "beta", "mean", "var"],
    "layerNorm": ["type", "epsilon", "gamma", "beta"], "scaling": ["type", "mean", "deviation"],
    "residual": ["type", "span"],
  ]
}
