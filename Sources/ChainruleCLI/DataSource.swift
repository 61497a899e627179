import ArgumentParser
import Chainrule
import Foundation

/// Where data come from.
enum DataSource {
  case bundled(BundledDataset)
  case csv(path: String)
  case standardInput
  case idx(images: String)

  /// What DATA says on the command line.
  init(_ data: String) throws(ChainruleError) {
    if data == "-" {
      self = .standardInput
    } else if let bundled = BundledDataset(rawValue: data) {
      self = .bundled(bundled)
    } else if fileKind(data) == nil {
      let names = BundledDataset.allCases.map(\.rawValue).joined(separator: ", ")
      let isName = !data.contains("/") && !data.contains(".")
      throw .file(
        path: data, reason: "there is no such file" + (isName ? ", and the bundled sets are \(names)" : ""))
    } else {
      self = Self.isIDX(data) ? .idx(images: data) : .csv(path: data)
    }
  }

  /// IDX begins with two zero bytes, text does not. Only a regular file is looked into: a pipe is read once.
  private static func isIDX(_ path: String) -> Bool {
    fileKind(path) == S_IFREG
      && (try? FileHandle(forReadingAtPath: path)?.read(upToCount: 2)) == Data([0, 0])
  }

  /// Refuses an option that only CSV has.
  func requireCSV(for option: String) throws(ValidationError) {
    switch self {
    case .csv, .standardInput: break
    case .bundled, .idx: throw ValidationError("\(option) is for CSV; \(self) is none")
    }
  }
}

extension DataSource: CustomStringConvertible {
  /// The name that errors give.
  var description: String {
    switch self {
    case .bundled(let set): "the bundled set \(set.rawValue)"
    case .csv(let path), .idx(let path): path
    case .standardInput: "standard input"
    }
  }

  /// An error about the data as a whole.
  func bad(_ reason: String) -> ChainruleError {
    .badData(file: description, line: nil, column: nil, reason: reason)
  }
}

// MARK: - To train on

extension DataSource {
  /// All rows, and how the columns of CSV became their features; nil where those are numbers as they stand.
  func encodedDataset<Scalar: NetworkScalar>(
    options: CSVOptions, labels: String?
  ) throws -> (data: Dataset<Scalar>, encoding: FeatureEncoding?) {
    guard !options.categorical.isEmpty || options.missing != nil else {
      return (try dataset(options: options, labels: labels), nil)
    }
    let table = try table(options)
    let encoding = try FeatureEncoding(fitting: table)
    return (try Dataset(csv: table, encoding: encoding), encoding)
  }

  /// All rows. `options` apply to CSV, `labels` to IDX.
  func dataset<Scalar: NetworkScalar>(options: CSVOptions, labels: String?) throws -> Dataset<Scalar> {
    switch self {
    case .bundled(let set): try .bundled(set)
    case .csv, .standardInput: try Dataset(csv: table(options))
    case .idx(let images): try Dataset(idxImages: images, labels: labels ?? Self.labels(besides: images))
    }
  }

  private func table(_ options: CSVOptions) throws(ChainruleError) -> CSVTable {
    if case .csv(let path) = self { return try CSVTable(file: path, options: options) }
    do {
      let bytes = try FileHandle.standardInput.readToEnd() ?? Data()
      return try CSVTable(bytes: Array(bytes), file: description, options: options)
    } catch let error as ChainruleError {
      throw error
    } catch {
      throw .file(path: description, reason: error.localizedDescription)
    }
  }

  /// The file of labels that MNIST's naming puts beside a file of images.
  static func labels(besides images: String) throws -> String {
    let url = URL(fileURLWithPath: images)
    let name = url.lastPathComponent
    let labels = name.replacingOccurrences(of: "images", with: "labels")
      .replacingOccurrences(of: "idx3", with: "idx1")
    let path = url.deletingLastPathComponent().appendingPathComponent(labels).path
    guard labels != name, fileKind(path) != nil else {
      throw ValidationError("\(images) is an IDX file; name the one of its labels with --labels")
    }
    return path
  }
}

// MARK: - For a model

extension DataSource {
  /// All rows with the features and the targets that `model` has, in its order. `encoding` is how columns of CSV
  /// become its features; nil: as they stand.
  func dataset<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: FeatureEncoding?, target: [String], delimiter: Character?,
    labels: String?
  ) throws -> Dataset<Scalar> {
    var data: Dataset<Scalar>
    switch self {
    case .bundled, .idx: data = try dataset(options: CSVOptions(), labels: labels)
    case .csv, .standardInput:
      var options = encoding?.options(delimiter: delimiter) ?? CSVOptions(delimiter: delimiter ?? ",")
      options.target = target
      var table = try table(options)
      table.options.task = model.classLabels == nil ? .regression : .classification
      try choose(target, for: model, named: encoding.map(\.columnNames) ?? model.featureNames, in: &table)
      data = try encoding.map { try Dataset(csv: table, encoding: $0) } ?? Dataset(csv: table)
    }
    guard data.inputs == model.inputs else {
      throw bad("there are \(counted(data.inputs, "feature")); the model takes \(model.inputs)")
    }
    if let classes = model.classLabels {
      guard data.classLabels != nil else {
        throw bad(
          "the targets are quantities; the model predicts the classes \(classes.joined(separator: ", "))")
      }
      do {
        data = try data.withClasses(classes)
      } catch {
        guard case .badData(_, _, _, let reason) = error else { throw error }
        throw bad(reason)
      }
    }
    guard data.outputs == model.outputs else {
      throw bad("there are \(counted(data.outputs, "target")); the model predicts \(model.outputs)")
    }
    return data
  }

  /// Sets which columns of `table` are the model's: its features by name where both have `names`, otherwise all
  /// columns but the targets. Those are the ones asked for, or else the model's own by name, or else what is
  /// left beside the features, or else the last.
  private func choose<Scalar>(
    _ target: [String], for model: Model<Scalar>, named names: [String]?, in table: inout CSVTable
  ) throws(ChainruleError) {
    let count = model.classLabels == nil ? model.outputs : 1
    let columns = table.columnNames ?? (1...table.columns).map(String.init)
    let names = table.columnNames == nil ? nil : names
    table.options.features = names
    if !target.isEmpty {
      table.options.target = target
    } else if let own = model.targetNames, Set(own).isSubset(of: columns) {
      table.options.target = own
    } else if let names {
      for name in names { _ = try table.column(name) }
      let others = columns.filter { !names.contains($0) }
      guard others.count == count else {
        throw bad(
          others.isEmpty
            ? "there is no column besides the model's features; evaluating needs the target"
            : "any of \(others.joined(separator: ", ")) may be the target; name it with --target")
      }
      table.options.target = others
    } else {
      table.options.target = columns.suffix(count)
    }
  }

  /// The features that `model` takes, row-major: rows × inputs. `encoding` is how columns of CSV become them; nil:
  /// as they stand.
  func features<Scalar: NetworkScalar>(
    for model: Model<Scalar>, encoding: FeatureEncoding?, delimiter: Character?
  ) throws(ChainruleError) -> [Scalar] {
    let features: [Scalar]
    let count: Int
    switch self {
    case .csv, .standardInput:
      if let encoding {
        let table = try table(encoding.options(delimiter: delimiter))
        let isByName = table.columnNames != nil && encoding.columnNames != nil
        guard isByName || table.columns == encoding.columns.count else {
          throw bad(
            "there are \(counted(table.columns, "column")); the model's features are made of "
              + "\(encoding.columns.count)")
        }
        return try encoding.features(of: table)
      }
      let table = try table(CSVOptions(delimiter: delimiter ?? ","))
      let isByName = table.columnNames != nil && model.featureNames != nil
      guard isByName || table.columns == model.inputs else {
        throw bad(
          "there are \(counted(table.columns, "column")); the model takes \(counted(model.inputs, "feature"))"
        )
      }
      return try table.features(named: model.featureNames, count: model.inputs)
    case .bundled(let set):
      let data = try Dataset<Scalar>.bundled(set)
      (features, count) = (data.features, data.inputs)
    case .idx(let images):
      let file = try IDXFile(file: images)
      (features, count) = (try file.values(), file.dimensions.dropFirst().reduce(1, *))
    }
    guard count == model.inputs else {
      throw bad("there are \(counted(count, "feature")); the model takes \(model.inputs)")
    }
    return features
  }
}
