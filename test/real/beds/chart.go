// Renders a Helm chart as `helm template` does, by what Helm itself is made of: Go's text/template and the functions of sprig.
// setup.sh builds it; test/deploy/helm.test.ts asks it. The real helm is in no registry that the tests can reach.
//
//	chart CHART NAME NAMESPACE [VALUES]    manifests on standard output, NOTES.txt behind `--- # NOTES`
//
// As Helm: include, tpl, required, fail, toYaml, fromYaml, toJson, lookup (nothing is there), values laid over those of the chart, and a
// value that is not there is empty. Not here: dependencies, CRDs, hooks' order, values.schema.json (the test has it), a cluster.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type values map[string]interface{}

func readYaml(file string) values {
	text, err := ioutil.ReadFile(file)
	check(err)
	read := values{}
	check(yaml.Unmarshal(text, &read))
	return read
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// Maps are laid over maps, key by key; anything else takes the place of what was there, and null takes it away.
func lay(under, over map[string]interface{}) map[string]interface{} {
	for key, value := range over {
		above, isMap := value.(map[string]interface{})
		below, wasMap := under[key].(map[string]interface{})
		switch {
		case value == nil:
			delete(under, key)
		case isMap && wasMap:
			under[key] = lay(below, above)
		default:
			under[key] = value
		}
	}
	return under
}

func functions(all *template.Template) template.FuncMap {
	named := sprig.TxtFuncMap()
	delete(named, "env")
	delete(named, "expandenv")
	named["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	named["tpl"] = func(text string, data interface{}) (string, error) {
		clone, err := all.Clone()
		if err != nil {
			return "", err
		}
		one, err := clone.New("tpl").Parse(text)
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = one.Execute(&out, data)
		return out.String(), err
	}
	named["required"] = func(warning string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(warning)
		}
		return value, nil
	}
	named["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	named["fromYaml"] = func(text string) map[string]interface{} {
		read := map[string]interface{}{}
		if err := yaml.Unmarshal([]byte(text), &read); err != nil {
			read["Error"] = err.Error()
		}
		return read
	}
	named["toJson"] = func(value interface{}) string {
		text, _ := json.Marshal(value)
		return string(text)
	}
	named["lookup"] = func(_, _, _, _ string) map[string]interface{} { return map[string]interface{}{} }
	return named
}

func main() {
	if len(os.Args) < 4 {
		check(errors.New("usage: chart CHART NAME NAMESPACE [VALUES]"))
	}
	folder, name, namespace := os.Args[1], os.Args[2], os.Args[3]
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))

	var files []string
	check(filepath.Walk(filepath.Join(folder, "templates"), func(file string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files = append(files, file)
		}
		return err
	}))
	sort.Strings(files)
	for _, file := range files {
		text, err := ioutil.ReadFile(file)
		check(err)
		_, err = all.New(file).Parse(string(text))
		check(err)
	}

	about := readYaml(filepath.Join(folder, "Chart.yaml"))
	chart := values{}
	for key, value := range about {
		chart[strings.ToUpper(key[:1])+key[1:]] = value
	}
	given := map[string]interface{}(readYaml(filepath.Join(folder, "values.yaml")))
	if len(os.Args) > 4 {
		given = lay(given, readYaml(os.Args[4]))
	}
	data := map[string]interface{}{
		"Values":  given,
		"Chart":   map[string]interface{}(chart),
		"Release": map[string]interface{}{"Name": name, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
	}
	notes := ""
	for _, file := range files {
		base := filepath.Base(file)
		if strings.HasPrefix(base, "_") {
			continue
		}
		var out bytes.Buffer
		check(all.ExecuteTemplate(&out, file, data))
		text := strings.ReplaceAll(out.String(), "<no value>", "")
		if base == "NOTES.txt" {
			notes = text
		} else if strings.TrimSpace(text) != "" {
			fmt.Printf("---\n%s\n", text)
		}
	}
	fmt.Printf("--- # NOTES\n%s\n", notes)
}
