"""Adds to setup.cfg the packages whose folder does not stand where their names say."""

from configparser import ConfigParser

from setuptools import find_namespace_packages, setup

declared = ConfigParser()
declared.read("setup.cfg")
packages = find_namespace_packages(include=declared["options.packages.find"]["include"].split())

setup(
    packages=[*packages, "app.migrations", "app.migrations.versions"],
    package_dir={"app.migrations": "migrations"},
)
